"""Tuners with a study in memory and a pool that returns fake rows."""

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


def make_experiment(**search: Any) -> Experiment:
    spec = {"sampler": "lattice", "step": 2, "seeds": 2, "references": ["depth"], **search}
    return experiment_from_document({**DOCUMENT, "search": spec})


@cache
def cached_source(experiment: Experiment):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network this small cannot be scaled in every way
        return CandidateSource.from_experiment(experiment, DATA)


def measured_rows(job: Job, *, stop: int | None = None) -> tuple[dict[str, Any], ...]:
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


def completed_outcome(job: Job) -> Outcome:
    if job.sweep:
        return Outcome(key=job.key, tuning={"learning_rate": 0.1, "seconds": 3.0})
    return Outcome(key=job.key, rows=measured_rows(job))


def failed_outcome(job: Job, kind: str, **options: Any) -> Outcome:
    failure = Failure(kind=kind, reason=f"{kind} told", traceback="Traceback: all of it")
    return Outcome(key=job.key, failure=failure, **options)


@dataclass
class FakePool:
    """A worker pool that does what ``respond`` says, the oldest job first, on a clock of its own.

    ``respond`` gives an outcome, several (one of them late or again), or none at all.
    """

    respond: Any = completed_outcome
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
        outcomes = self.respond(self.waiting.popleft())
        return [outcomes] if isinstance(outcomes, Outcome) else list(outcomes)

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


def make_tuner(
    experiment: Experiment, pool: Any = None, study: Any = None, **options: Any
) -> Tuner:
    if study is None:
        directions = ["maximize", "minimize"] if experiment.search.against else ["maximize"]
        study = open_study(optuna.storages.InMemoryStorage(), "game", directions)
    return Tuner(
        experiment,
        cached_source(experiment),
        SuccessiveHalving.from_experiment(experiment),
        study,
        pool or FakePool(),
        make_job,
        **options,
    )


def run_to_end(tuner: Tuner) -> Tuner:
    for _ in tuner.run():
        pass
    return tuner
