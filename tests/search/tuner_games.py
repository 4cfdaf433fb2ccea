"""Tuners over a study in memory, with a pool that measures without training."""

import warnings
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import optuna

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import experiment_from_document
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.jobs import Failure, Job, Outcome
from scalesearch.search.study.storage import open_study
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.tuner import Tuner

DOCUMENT = {
    "name": "game",
    "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
    "budget": {"factor": 2.0, "tolerance": 0.04},
    "recipe": {"epochs": 9},
    "device": "cpu",
}
DATA = {"channels": 1, "classes": list("0123456789"), "pixels": 12}


def experiment(**search: Any) -> Experiment:
    spec = {"sampler": "lattice", "step": 2, "seeds": 2, "references": ["depth"], **search}
    return experiment_from_document({**DOCUMENT, "search": spec})


@cache
def source(asked: Experiment):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network this small cannot be scaled in every way
        return CandidateSource.from_experiment(asked, DATA)


def measured(job: Job, *, stop: int | None = None) -> tuple[dict[str, Any], ...]:
    """Rows of a job up to an epoch: the same for the same run."""
    quality = int(job.candidate[:4], 16) / 2**18
    return tuple(
        {
            "seed": seed,
            "epoch": epoch,
            "accuracy": 0.5 + quality + 0.001 * seed - 0.4**epoch,
            "loss": 1.0,
            "train_loss": 1.0,
            "seconds": 2.0,
        }
        for epoch in range(job.start + 1, (stop or job.stop) + 1)
        for seed in job.seeds
    )


def done(job: Job) -> Outcome:
    if job.sweep:
        return Outcome(key=job.key, tuning={"learning_rate": 0.1, "seconds": 3.0})
    return Outcome(key=job.key, rows=measured(job))


def failed(job: Job, kind: str, **more: Any) -> Outcome:
    failure = Failure(kind=kind, reason=f"{kind} told", traceback="Traceback: all of it")
    return Outcome(key=job.key, failure=failure, **more)


@dataclass
class FakePool:
    """A worker pool that does what ``answer`` says, the oldest job first, on a clock of its own.

    ``answer`` gives an outcome, several (one of them late or again), or none at all.
    """

    answer: Any = done
    slots: Any = 2
    submitted: list[Job] = field(default_factory=list)
    cancelled: list[Job] = field(default_factory=list)
    waiting: deque = field(default_factory=deque)
    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def submit(self, job: Job) -> None:
        self.submitted.append(job)
        self.waiting.append(job)

    def collect(self, timeout: float | None) -> list[Outcome]:
        self.seconds += 1.0
        if not self.waiting:
            return []
        told = self.answer(self.waiting.popleft())
        return [told] if isinstance(told, Outcome) else list(told)

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job)


def make_job(trial, task) -> Job:
    return Job(
        trial=task.trial,
        candidate=trial.candidate,
        seeds=task.seeds,
        start=task.start,
        stop=task.stop or 9,
        sweep=task.sweep,
        architecture=trial.network,
        recipe=None,
        data=None,
        fingerprints=(),
        device="cpu",
        checkpoints=Path("nowhere"),
    )


def make_tuner(asked: Experiment, pool: Any = None, study: Any = None, **more: Any) -> Tuner:
    if study is None:
        directions = ["maximize", "minimize"] if asked.search.against else ["maximize"]
        study = open_study(optuna.storages.InMemoryStorage(), "game", directions)
    return Tuner(
        asked,
        source(asked),
        SuccessiveHalving.from_experiment(asked),
        study,
        pool or FakePool(),
        make_job,
        **more,
    )


def finish(tuner: Tuner) -> Tuner:
    for _ in tuner.run():
        pass
    return tuner
