"""Files that the driver writes beside the study, for people and plots.

A running search reads none of them back. A file that takes long to write is written less often, so
that writing takes a small part of the time.
"""

import csv
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.io import write_json, write_text
from scalesearch.results.records import SHARE_COLUMNS, write_records
from scalesearch.results.search_folder import SearchPaths
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.jobs import Job, Outcome
from scalesearch.search.progress import Progress, write_progress
from scalesearch.search.study.search_trial import SearchTrial, failure_documents, trial_records

LIST_COLUMNS = ("known", "in_flight")
"""Columns with lists of candidates: those that had ended, and those in training."""


def write_proposals(path: Path, logs: Sequence[Mapping[str, Any]]) -> None:
    """Write ``proposals.csv``, one row per proposal; floats keep every digit."""
    rows = [{**log, **{name: " ".join(log[name]) for name in LIST_COLUMNS}} for log in logs]
    table = pd.DataFrame(rows, columns=["number", *SHARE_COLUMNS, *LIST_COLUMNS])
    write_text(path, table.sort_values("number").to_csv(index=False))


def read_proposals(folder: Path) -> list[dict[str, Any]]:
    """Read the proposals of a search, in order; raise SearchError if it has none."""
    path = folder / "proposals.csv"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        numbers = table[["number", *SHARE_COLUMNS]].astype(
            {"number": int, **dict.fromkeys(SHARE_COLUMNS, float)}
        )
        lists = {name: table[name].str.split() for name in LIST_COLUMNS}
    except FileNotFoundError:
        raise SearchError(
            f"{path}: no such file; only a search with a sampler (tpe, gp, ...) writes one"
        ) from None
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise SearchError(
            f"{path}: need a table of proposals, got another file: {error}"
        ) from error
    rows = numbers.assign(**lists).sort_values("number").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def read_proposed_shares(folder: str | Path) -> tuple[Shares, ...]:
    """Read the shares that the sampler of another search proposed, in order."""
    return tuple(
        Shares(*(log[axis] for axis in SHARE_COLUMNS)) for log in read_proposals(Path(folder))
    )


JOB_COLUMNS = (
    *("job", "candidate", "seeds", "start", "stop", "attempt"),
    *("worker", "began", "ended", "failure"),
)
MAX_TIME_SHARE = 0.02
"""Largest share of the time that writing a file may take."""
MIN_SECONDS_BETWEEN = 0.5


@dataclass(slots=True)
class _WriteThrottle:
    """Limits how often a file is written, by how long the last write took."""

    due: float = 0.0

    def __call__(self, write: Callable[[], None], *, force: bool) -> None:
        started_at = time.monotonic()
        if force or started_at >= self.due:
            write()
            ended_at = time.monotonic()
            self.due = ended_at + max(MIN_SECONDS_BETWEEN, (ended_at - started_at) / MAX_TIME_SHARE)


@dataclass(slots=True)
class ResultsWriter:
    """Writes the files of a search's folder."""

    folder: SearchPaths
    _records_throttle: _WriteThrottle = field(default_factory=_WriteThrottle)
    _progress_throttle: _WriteThrottle = field(default_factory=_WriteThrottle)

    def write_outcome(self, job: Job, outcome: Outcome) -> None:
        """Append a line to ``jobs.csv``; write the traceback of a failure to its own file."""
        failure = outcome.failure
        row = [
            job.name,
            job.candidate,
            " ".join(map(str, job.seeds)),
            job.start,
            job.stop,
            job.attempt,
            outcome.worker,
            f"{outcome.started_at:.3f}",
            f"{outcome.ended_at:.3f}",
            failure.kind if failure else "",
        ]
        with _explain_disk_errors(self.folder):
            _append_row(self.folder.jobs, row)
            if failure and failure.traceback and failure.kind in ("bug", "data", "worker_lost"):
                write_text(self.traceback_path(job), failure.traceback)

    def traceback_path(self, job: Job) -> Path:
        """Path of the traceback of a job."""
        name = f"{job.name} attempt {job.attempt + 1}.txt".replace(" ", "-").replace(",", "")
        (self.folder.path / "errors").mkdir(exist_ok=True)
        return self.folder.path / "errors" / name

    def write(self, trials: Sequence[SearchTrial], *, force: bool = False) -> None:
        """Write the records, the proposals and the failures so far."""
        self._records_throttle(lambda: self._write_safely(trials), force=force)

    def write_progress(self, progress: Progress, *, force: bool = False) -> None:
        """Write the progress file.

        Raises nothing if that fails: it is written again soon, and no decision depends on it.
        """
        with suppress(OSError):
            self._progress_throttle(
                lambda: write_progress(self.folder.progress, progress), force=force
            )

    def _write_safely(self, trials: Sequence[SearchTrial]) -> None:
        with _explain_disk_errors(self.folder):
            self._write_files(trials)

    def _write_files(self, trials: Sequence[SearchTrial]) -> None:
        write_records(self.folder.records, trial_records(trials))
        if logs := [trial.proposal for trial in trials if trial.proposal is not None]:
            write_proposals(self.folder.proposals, logs)
        if failed_trials := failure_documents(trials):
            write_json(self.folder.failures, failed_trials)
        else:
            self.folder.failures.unlink(missing_ok=True)


def _append_row(path: Path, row: Sequence[object]) -> None:
    """Append a line to a table, below its header; a line torn by a crash stays a line."""
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        is_torn = file.read(1) not in (b"", b"\n")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([row] if size else [JOB_COLUMNS, row])
        file.write(b"\n" * is_torn + text.getvalue().encode())


@contextmanager
def _explain_disk_errors(folder: SearchPaths) -> Iterator[None]:
    """Turn an OSError into a SearchError that says what to do."""
    try:
        yield
    except OSError as error:
        raise SearchError(
            f"{error.filename or folder.path}: cannot be written: {error.strerror or error}; make "
            "room and run the same command again: all recorded epochs are safe"
        ) from error
