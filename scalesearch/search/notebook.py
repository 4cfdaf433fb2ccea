"""What the driver writes beside the study: projections and logs, for people and for plots.

Nothing is read back from here. What takes long to write is written less often, so that writing
never takes more than a small part of the time.
"""

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalesearch.errors import SearchError
from scalesearch.files import write_text
from scalesearch.records import write_records
from scalesearch.search.folder import SearchFolder
from scalesearch.search.jobs import Job, Outcome
from scalesearch.search.progress import Progress, write_progress
from scalesearch.search.proposal_log import write_proposals
from scalesearch.search.study import SearchTrial, failure_documents, trial_records

JOB_COLUMNS = (
    *("job", "candidate", "seeds", "start", "stop", "attempt"),
    *("worker", "began", "ended", "failure"),
)
MAX_TIME_SHARE = 0.02
"""Of the time, that a projection may take."""
MIN_SECONDS_BETWEEN = 0.5


@dataclass(slots=True)
class _WriteThrottle:
    """When something may be written again: after fifty times as long as it took."""

    due: float = 0.0

    def __call__(self, write: Callable[[], None], *, force: bool) -> None:
        started_at = time.monotonic()
        if force or started_at >= self.due:
            write()
            ended_at = time.monotonic()
            self.due = ended_at + max(MIN_SECONDS_BETWEEN, (ended_at - started_at) / MAX_TIME_SHARE)


@dataclass(slots=True)
class ResultsWriter:
    """Writes into a search's folder."""

    folder: SearchFolder
    _records_throttle: _WriteThrottle = field(default_factory=_WriteThrottle)
    _progress_throttle: _WriteThrottle = field(default_factory=_WriteThrottle)

    def write_outcome(self, job: Job, outcome: Outcome) -> None:
        """A line in the log of jobs, and the traceback of a bug in a file of its own."""
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
        """Where a job's failure is told in full."""
        name = f"{job.name} attempt {job.attempt + 1}.txt".replace(" ", "-").replace(",", "")
        (self.folder.path / "errors").mkdir(exist_ok=True)
        return self.folder.path / "errors" / name

    def write(self, trials: Sequence[SearchTrial], *, force: bool = False) -> None:
        """The records and the failures so far."""
        self._records_throttle(lambda: self._write_safely(trials), always=force)

    def write_progress(self, progress: Progress, *, force: bool = False) -> None:
        """How far the search is, for who watches from outside. Raises nothing where that fails:
        it is told again soon, and nothing goes by it."""
        with suppress(OSError):
            self._progress_throttle(lambda: write_progress(self.folder.progress, progress), always=force)

    def _write_safely(self, trials: Sequence[SearchTrial]) -> None:
        with _explain_disk_errors(self.folder):
            self._write_files(trials)

    def _write_files(self, trials: Sequence[SearchTrial]) -> None:
        write_records(self.folder.records, trial_records(trials))
        if logs := [trial.proposal for trial in trials if trial.proposal is not None]:
            write_proposals(self.folder.proposals, logs)
        if failed_trials := failure_documents(trials):
            write_text(self.folder.failures, json.dumps(failed_trials, indent=2) + "\n")
        else:
            self.folder.failures.unlink(missing_ok=True)


def read_failures(path: Path) -> list[dict[str, Any]]:
    """What is written down of candidates that failed; nothing where there is no such file."""
    try:
        failures: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: not valid JSON: {error}; mend it or remove it") from error
    return failures


def _append_row(path: Path, row: Sequence[object]) -> None:
    """A line at the end of a table, below its header and after whatever a crash has torn."""
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        is_torn = file.read(1) not in (b"", b"\n")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([row] if size else [JOB_COLUMNS, row])
        file.write(b"\n" * is_torn + text.getvalue().encode())


@contextmanager
def _explain_disk_errors(folder: SearchFolder) -> Iterator[None]:
    """Turn a disk that takes no more into a SearchError that says what to do."""
    try:
        yield
    except OSError as error:
        raise SearchError(
            f"{error.filename or folder.path}: cannot be written: {error.strerror or error}; make "
            "room and run the same command again: what is in the study is safe"
        ) from error
