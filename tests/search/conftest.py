"""A real search, small enough to run many times: digits at 8 pixels on a network of six blocks."""

import pytest

from scalesearch.experiment import experiment_from


def tiny_document(**search):
    return {
        "name": "tiny",
        "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
        "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
        "budget": {"factor": 2.0, "tolerance": 0.04},
        "recipe": {"epochs": 2, "batch_size": 30, "threads": 1},
        "search": {"sampler": "lattice", "step": 2, "seeds": 2, **search},
        "device": "cpu",
    }


@pytest.fixture
def tiny():
    def experiment(**search):
        return experiment_from(tiny_document(**search))

    return experiment
