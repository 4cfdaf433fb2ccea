"""What the driver hands to a worker, and what comes back: plain data, fit to be pickled.

``advance(job) -> Outcome`` is a job's only meaning, wherever it is carried out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from scalesearch.architectures import Architecture, CustomModel
from scalesearch.experiment import DataSpec
from scalesearch.recipe import Recipe

FailureKind: TypeAlias = Literal[
    "out_of_memory", "diverged", "worker_lost", "timeout", "data", "bug"
]
JobKey: TypeAlias = tuple[str, tuple[int, ...], int, int, bool]
"""Candidate, seeds, start, stop, whether it is a sweep: equal for every attempt at one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Train seeds of one candidate from the epoch after ``start`` to the epoch ``stop``.

    ``candidate``: the architecture's fingerprint. ``seeds``: one, or several that are trained
    together. ``attempt``: how many earlier ones were lost. ``sweep``: look for the candidate's
    learning rate, and train nothing that counts. ``fingerprints``: of each seed's images, which a
    worker has to find the same. ``checkpoints``: the folder of the runs' states, on a file system
    that all workers share. ``halt``: where this file exists, a job ends after its present epoch.
    ``news``: the folder in which a worker tells how far it is. ``allow_code``: the code of a
    baseline ``module:factory`` may be run.
    """

    candidate: str
    seeds: tuple[int, ...]
    start: int
    stop: int
    architecture: Architecture | CustomModel
    recipe: Recipe
    data: DataSpec
    fingerprints: tuple[str, ...]
    device: str
    checkpoints: Path
    attempt: int = 0
    sweep: bool = False
    halt: Path | None = None
    heartbeats: Path | None = None
    allow_code: bool = False

    @property
    def key(self) -> JobKey:
        """What every attempt at this job has in common."""
        return (self.candidate, self.seeds, self.start, self.stop, self.sweep)

    @property
    def name(self) -> str:
        """For people."""
        return job_name(self.key)

    def checkpoint_path(self, seed: int) -> Path:
        """The file in which a run's state is kept between epochs."""
        return checkpoint_path(self.checkpoints, self.candidate, seed)


def checkpoint_path(folder: Path, candidate: str, seed: int) -> Path:
    """The file of a run's state inside the folder of all checkpoints."""
    return folder / f"{candidate}-{seed}.pt"


def job_name(key: JobKey) -> str:
    """A job for people: ``54f15e9d seed 0 epochs 1-3``."""
    candidate, seeds, start, stop, sweep = key
    prefix = f"{candidate[:8]} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if sweep:
        return f"{prefix} learning-rate sweep"
    return f"{prefix} epoch{'s' if stop - start > 1 else ''} " + (
        f"{start + 1}-{stop}" if stop - start > 1 else f"{stop}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job did not get where it should: its class, one line for people, and where from."""

    kind: FailureKind
    reason: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job.

    ``rows``: what each epoch of each seed measured, in order; fewer than asked for where the job
    was halted or failed. ``tuning``: what a sweep found. ``worker``: who did it. ``began``,
    ``ended``: Unix seconds by the worker's clock.
    """

    key: JobKey
    rows: tuple[dict[str, Any], ...] = ()
    tuning: dict[str, Any] | None = None
    failure: Failure | None = None
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
