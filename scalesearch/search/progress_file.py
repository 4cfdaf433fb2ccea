"""How far a search is: what the engine tells after every event, and the file that keeps it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scalesearch.io import write_json
from scalesearch.scaling.coefficients import Shares


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job in flight: ``job`` is its name, ``seconds`` how long it has been.

    ``worker``: empty where nobody knows yet. ``epoch``: the last one it finished, with the accuracy
    and pace of that epoch. ``doing``: what it does instead of training ("getting images 34%").
    """

    job: str
    worker: str
    seconds: float
    epoch: int | None = None
    accuracy: float | None = None
    images_per_second: float | None = None
    doing: str = ""


@dataclass(frozen=True, slots=True)
class RungProgress:
    """Candidates that have reached an epoch, of those that are to."""

    epoch: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best candidate so far: effective shares, and the mean accuracy of ``seeds`` at ``epoch``.

    ``low`` and ``high``: its interval; None for one seed.
    """

    shares: Shares
    accuracy: float
    low: float | None
    high: float | None
    seeds: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is.

    ``epochs_total``: at most, as planned now. ``images_per_second``: of all workers together.
    ``seconds_left``: None where nothing is known yet. ``failures``: candidates by kind.
    ``ended``: why it is over, where that is not because all is done. ``at``: when it
    was so, in Unix seconds; 0 on a clock that is not the world's.
    """

    name: str
    epochs_done: int
    epochs_total: int
    rungs: tuple[RungProgress, ...] = ()
    running: tuple[JobProgress, ...] = ()
    best: BestTrial | None = None
    images_per_second: float = 0.0
    seconds_left: float | None = None
    stopped: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    finished: bool = False
    ended: str = ""
    at: float = 0.0


def progress_at(progress: Progress, now: float) -> Progress:
    """What was told at ``at`` as it is at ``now``, if nothing else has happened since."""
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
    """Write it down, whole or not at all."""
    write_json(path, asdict(progress))


def read_progress(path: str | Path) -> Progress | None:
    """What was last written down; None where there is no such file, or one that is torn."""
    try:
        return progress_from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def progress_from_json(document: Mapping[str, Any]) -> Progress:
    """What ``dataclasses.asdict`` made of one. Raises TypeError or KeyError for anything else."""
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
