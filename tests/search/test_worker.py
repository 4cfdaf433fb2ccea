"""Jobs of a worker, with real training on some dozen images."""

import threading
import warnings
from dataclasses import replace
from functools import cache

import pytest
import torch

from scalesearch.errors import DataError
from scalesearch.locks import lock_checkpoint
from scalesearch.search import worker
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.heartbeats import read_heartbeats
from scalesearch.search.jobs import Job
from scalesearch.search.worker import inspect_worker, run_job
from scalesearch.training.loop import OutOfMemory, TrainingDiverged

TIMED = ("seconds", "images_per_second", "peak_bytes", "utilisation")


@cache
def facts(experiment):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = inspect_worker(experiment).data
        return data, CandidateSource.from_experiment(experiment, data).planned[0].candidate


@pytest.fixture
def job(tiny, tmp_path):
    experiment = tiny()
    data, candidate = facts(experiment)

    def make_job_of_seeds(*seeds, **changes):
        settings = {
            "trial": 0,
            "candidate": candidate.fingerprint,
            "seeds": seeds or (0,),
            "start": 0,
            "stop": 2,
            "architecture": candidate.architecture,
            "recipe": experiment.recipe,
            "data": experiment.data,
            "fingerprints": tuple(data["fingerprints"][str(seed)] for seed in seeds or (0,)),
            "device": "cpu",
            "checkpoints": tmp_path / "checkpoints",
            "halt": tmp_path / "halt",
            "heartbeats": tmp_path / "news",
        }
        return Job(**{**settings, **changes})

    return make_job_of_seeds


def timeless(rows):
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows]


def test_the_outcome_of_a_job_has_a_row_per_epoch(job):
    outcome = run_job(job())
    assert outcome.failure is None
    assert outcome.key == job().key
    assert [(row["seed"], row["epoch"]) for row in outcome.rows] == [(0, 1), (0, 2)]
    assert outcome.started_at < outcome.ended_at
    assert outcome.worker == worker.worker_name()


def test_two_jobs_give_the_rows_of_one(job, tmp_path):
    one_outcome = run_job(job(checkpoints=tmp_path / "other"))
    rows_of_two = run_job(job(stop=1)).rows + run_job(job(start=1)).rows
    assert timeless(rows_of_two) == timeless(one_outcome.rows)


def test_trained_but_unrecorded_epochs_come_from_the_checkpoint(job, monkeypatch):
    first = run_job(job())
    monkeypatch.setattr(
        "scalesearch.training.trainer.TrainingRun.train_epoch", lambda *a: pytest.fail("trained")
    )
    assert run_job(job()).rows == first.rows
    assert run_job(job(start=1)).rows == first.rows[1:]


def test_seeds_trained_together_give_the_rows_of_seeds_alone(job, tmp_path):
    together = run_job(job(0, 1, checkpoints=tmp_path / "other"))
    rows_of_each = run_job(job(0)).rows + run_job(job(1)).rows
    rows = sorted(together.rows, key=lambda row: (row["seed"], row["epoch"]))
    assert timeless(rows) == timeless(rows_of_each)


def test_a_halted_job_ends_after_its_epoch_with_all_seeds(job, tmp_path):
    (tmp_path / "halt").touch()
    outcome = run_job(job(0, 1))
    assert outcome.failure is None
    assert [(row["seed"], row["epoch"]) for row in outcome.rows] == [(0, 1), (1, 1)]


def test_a_second_worker_on_a_run_waits_and_uses_the_checkpoint(job, monkeypatch):
    epochs_trained, train_together = [], worker.train_together
    outcomes = {}

    def counted(runs, images, *, device):
        for index, epoch_result in train_together(runs, images, device=device):
            epochs_trained.append(epoch_result.seconds)
            yield index, epoch_result

    monkeypatch.setattr(worker, "train_together", counted)
    with lock_checkpoint(job().checkpoint_path(0), lambda: None):
        waiting = [
            threading.Thread(target=lambda n=n: outcomes.update({n: run_job(job())}), daemon=True)
            for n in range(2)
        ]
        for thread in waiting:
            thread.start()
        waiting_messages = []
        while not waiting_messages:
            waiting_messages = [
                about.doing
                for about in read_heartbeats(job().heartbeats)
                if "waiting" in about.doing
            ]
        assert not outcomes
        assert not epochs_trained
    for thread in waiting:
        thread.join(200)
    assert outcomes[0].rows == outcomes[1].rows  # to the second that it took: trained once


def test_a_worker_with_other_images_refuses_the_job(job, tmp_path):
    outcome = run_job(job(fingerprints=("of others",)))
    assert outcome.failure.kind == "data"
    assert "need the images that the search started with (of others)" in outcome.failure.reason
    assert not outcome.rows
    assert not list((tmp_path / "checkpoints").glob("*.pt"))


def test_a_diverged_run_keeps_its_earlier_rows(job):
    recipe = replace(job().recipe, learning_rate=1e6)
    outcome = run_job(job(recipe=recipe))
    assert outcome.failure.kind == "diverged"
    assert "need finite losses" in outcome.failure.reason
    assert len(outcome.rows) < 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TrainingDiverged("nan", ()), "diverged"),
        (OutOfMemory("too wide"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory"),
        (OSError(28, "No space left on device"), "data"),
        (DataError("images are gone"), "data"),
        (ZeroDivisionError("ours"), "bug"),
        (RuntimeError("ours"), "bug"),
    ],
)
def test_an_exception_becomes_a_failure_with_kind_and_traceback(job, monkeypatch, error, kind):
    def failing(*args, **options):
        raise error

    monkeypatch.setattr(worker, "train_together", failing)
    failure = run_job(job()).failure
    assert failure.kind == kind
    assert "\n" not in failure.reason
    assert failure.traceback.startswith("Traceback")


def test_a_failed_checkpoint_loses_no_earlier_epoch(job, monkeypatch):
    writes, write = [], worker.train_together.__globals__["TrainingRun"].record_epoch

    def full(run, epoch):
        writes.append(epoch.index)
        if epoch.index == 2 and len(writes) == 2:
            raise OSError(28, "No space left on device")
        write(run, epoch)

    monkeypatch.setattr("scalesearch.training.trainer.TrainingRun.record_epoch", full)
    outcome = run_job(job())
    assert outcome.failure.kind == "data"
    assert [row["epoch"] for row in outcome.rows] == [1]
    resumed = run_job(job(start=1))
    assert [row["epoch"] for row in resumed.rows] == [2]
    assert writes == [1, 2, 2]


def test_a_torn_checkpoint_is_reported_and_the_run_starts_again(job):
    first = run_job(job())
    path = job().checkpoint_path(0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="the checkpoint is damaged; this run starts again"):
        restarted = run_job(job(start=1))
    assert timeless(restarted.rows) == timeless(first.rows[1:])


def test_a_sweep_finds_a_learning_rate_and_records_no_epoch(job, monkeypatch, tmp_path):
    recipe = replace(job().recipe, learning_rate_rule="tuned")
    outcome = run_job(job(sweep=True, recipe=recipe))
    assert outcome.failure is None, outcome.failure.traceback
    assert outcome.tuning["learning_rate"] > 0
    assert outcome.tuning["seconds"] > 0
    assert not outcome.rows
    assert not list((tmp_path / "checkpoints").glob("*.pt"))


def test_after_a_job_its_heartbeat_is_removed(job):
    run_job(job())
    assert not read_heartbeats(job().heartbeats)
