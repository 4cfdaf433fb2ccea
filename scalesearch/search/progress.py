"""The progress of a search as data, and the file that holds it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scalesearch.io import write_json
from scalesearch.scaling.coefficients import Shares


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A running job."""

    job: str
    """Name of the job."""
    worker: str
    """Name of the worker; empty while it is not known."""
    seconds: float
    """Time since the job started."""
    epoch: int | None = None
    """Last epoch that the job finished."""
    accuracy: float | None = None
    """Accuracy of that epoch."""
    images_per_second: float | None = None
    """Speed of that epoch."""
    doing: str = ""
    """Activity other than training ("getting images 34%")."""


@dataclass(frozen=True, slots=True)
class RungProgress:
    """Number of trials that have reached a rung, of those that will."""

    epoch: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best trial so far."""

    shares: Shares
    """Effective shares of its network."""
    accuracy: float
    """Mean accuracy of ``seeds`` seeds at ``epoch``."""
    low: float | None
    """Lower end of the 90% interval; None with one seed."""
    high: float | None
    """Upper end of the 90% interval; None with one seed."""
    seeds: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a search."""

    name: str
    """Name of the experiment."""
    epochs_done: int
    epochs_total: int
    """Largest number of epochs, as planned now."""
    rungs: tuple[RungProgress, ...] = ()
    running: tuple[JobProgress, ...] = ()
    best: BestTrial | None = None
    images_per_second: float = 0.0
    """Speed of all workers together."""
    seconds_left: float | None = None
    """Estimated time to the end; None while it is not known."""
    stopped: int = 0
    """Number of trials that were stopped at a rung."""
    failures: dict[str, int] = field(default_factory=dict)
    """Number of failed trials by kind of failure."""
    finished: bool = False
    """The search has ended and need not be resumed."""
    ended: str = ""
    """Stopping criterion that ended the search; empty if none did."""
    at: float = 0.0
    """Time of the report in Unix seconds; 0 in a simulation."""


def progress_at(progress: Progress, now: float) -> Progress:
    """Return the progress at a later time, if nothing else has happened since."""
    if progress.finished or not 0.0 < progress.at < now:
        return progress
    age, left = now - progress.at, progress.seconds_left
    return replace(
        progress,
        at=now,
        running=tuple(replace(job, seconds=job.seconds + age) for job in progress.running),
        seconds_left=None if left is None else max(0.0, left - age),
    )


def write_progress(path: Path, progress: Progress) -> None:
    """Write the progress file, whole or not at all."""
    write_json(path, asdict(progress))


def read_progress(path: str | Path) -> Progress | None:
    """Read the progress file; None if it does not exist or is torn."""
    try:
        return progress_from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def progress_from_json(document: Mapping[str, Any]) -> Progress:
    """Read a JSON document; raise TypeError or KeyError if it holds no progress."""
    best_document = document["best"]
    return Progress(
        **{
            **document,
            "rungs": tuple(RungProgress(**rung) for rung in document["rungs"]),
            "running": tuple(JobProgress(**running) for running in document["running"]),
            "best": best_document
            and BestTrial(**{**best_document, "shares": Shares(**best_document["shares"])}),
        }
    )
