"""A real search, small enough to run many times: digits at 8 pixels on a network of six blocks."""

import hashlib
import sys
from pathlib import Path

import pytest

from scalesearch.config.reading import experiment_from_document
from scalesearch.results.records import read_records
from scalesearch.results.run_folder import Epoch
from scalesearch.search import progress_reporter, worker

sys.path.append(str(Path(__file__).parent))

from fault_driver import FINISHED, DriverRunner

ALL_SEEDS_AND_EPOCHS = {"pruner": "none", "race": None}
"""Every candidate gets all seeds and all epochs."""


def tiny_document(**search):
    return {
        "name": "tiny",
        "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
        "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
        "budget": {"factor": 2.0, "tolerance": 0.04},
        "recipe": {"epochs": 2, "batch_size": 30, "threads": 1},
        "search": {**ALL_SEEDS_AND_EPOCHS, "sampler": "lattice", "step": 2, "seeds": 2, **search},
        "device": "cpu",
    }


@pytest.fixture
def tiny():
    def experiment(**search):
        return experiment_from_document(tiny_document(**search))

    return experiment


class Killed(BaseException):
    """Raised to stop a search; no handler of the package catches it."""


@pytest.fixture
def killed_after(monkeypatch):
    """Return a progress callback that stops a search at its n-th event."""
    monkeypatch.setattr(progress_reporter, "REPORT_SECONDS", 0.0)

    def on_progress_of(events):
        events_left = events

        def on_progress(progress):
            nonlocal events_left
            events_left -= 1
            if events_left < 0:
                raise Killed

        return on_progress

    on_progress_of.error = Killed
    return on_progress_of


def random_epoch(job, index):
    """Return an epoch of a job with random numbers, the same for the same job."""
    digest = hashlib.blake2b(f"{job.fingerprint} {job.seed} {index}".encode(), digest_size=4)
    random_share = int.from_bytes(digest.digest(), "big") / 2**32
    return Epoch(
        index=index,
        train_loss=2.0 - random_share,
        loss=2.5 - random_share,
        accuracy=round(0.3 + 0.1 * index + 0.1 * random_share, 6),
        top5=0.9,
        seconds=1.0,
        images_per_second=100.0,
        learning_rate=job.recipe.learning_rate,
        resolution=job.architecture.resolution,
        peak_bytes=1000,
        utilisation=0.5,
    )


@pytest.fixture
def untrained(monkeypatch):
    """Replace training by random epochs; list what was trained: (candidate, seed, epoch)."""
    trained = []

    def train_together(jobs, datasets, *, device):
        for index in range(jobs[0].start + 1, jobs[0].last_epoch + 1):
            for index_of_job, job in enumerate(jobs):
                trained.append((job.fingerprint, job.seed, index))
                yield index_of_job, random_epoch(job, index)

    monkeypatch.setattr(worker, "train_together", train_together)
    return trained


@pytest.fixture(scope="module")
def driver_runner():
    with DriverRunner() as runner:
        yield runner


@pytest.fixture(scope="module")
def undisturbed(driver_runner, tmp_path_factory):
    """Function that returns the records of a search without kills; each is run once."""
    records_of_document = {}

    def undisturbed_records(document):
        name = repr(document)
        if name not in records_of_document:
            results_folder = tmp_path_factory.mktemp("undisturbed") / "r"
            status = driver_runner.run_driver(results_folder=results_folder, document=document)
            assert status == FINISHED
            records_of_document[name] = read_records(results_folder / "records.csv")
        return records_of_document[name]

    return undisturbed_records
