"""A plan of some candidates, rows as training measures them, and a study in each storage."""

import warnings

import optuna
import pytest

from scalesearch.candidates.iso_cost import StuckAxisWarning
from scalesearch.config.reading import experiment_from_document
from scalesearch.search.design import OffTargetWarning, planned_trials, search_space
from scalesearch.search.study.storage import close_study, open_study

DOCUMENT = {
    "name": "tiny",
    "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
    "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
    "budget": {"factor": 2.0, "tolerance": 0.04},
    "recipe": {"epochs": 2, "batch_size": 30, "threads": 1},
    "device": "cpu",
}


def row(seed, epoch, accuracy=0.5, **options):
    """What one epoch measures."""
    return {
        "seed": seed,
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "loss": 1.0 / 3.0,
        "accuracy": accuracy,
        "learning_rate": 0.05,
        "micro_batch": 30,
        "seconds": 1.5,
        "images_per_second": 40.0,
        "device": "cpu",
        "commit": "0123456789ab",
        **options,
    }


@pytest.fixture
def rows():
    return row


@pytest.fixture
def tiny():
    def experiment(**search):
        search = {"sampler": "lattice", "step": 2, "seeds": 2, **search}
        return experiment_from_document({**DOCUMENT, "search": search})

    return experiment


@pytest.fixture
def space(tiny):
    experiment = tiny()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)  # so small a network has few resolutions
        return search_space(
            experiment.baseline.build_architecture(in_channels=1, num_classes=10), experiment.budget
        )


@pytest.fixture
def planned(tiny, space):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OffTargetWarning)
        return planned_trials(tiny().search, space)


@pytest.fixture
def make_study():
    """Opens studies, and closes them after the test."""
    studies = []

    def open_one(storage, name="tiny", directions=("maximize",)):
        studies.append(open_study(storage, name, directions))
        return studies[-1]

    yield open_one
    for study in studies:
        close_study(study)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def study(request, tmp_path, make_study):
    """The same study in each kind of storage."""
    if request.param == "memory":
        return make_study(optuna.storages.InMemoryStorage())
    if request.param == "sqlite":
        return make_study(tmp_path / "study.db")
    return make_study(request.getfixturevalue("postgres"))
