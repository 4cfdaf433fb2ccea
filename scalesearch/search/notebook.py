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
from scalesearch.search.folder import Folder
from scalesearch.search.jobs import Job, Outcome
from scalesearch.search.progress import Progress, write_progress
from scalesearch.search.proposal_log import write_log
from scalesearch.search.study import Entry, failures, records

JOBS = (
    *("job", "candidate", "seeds", "start", "stop", "attempt"),
    *("worker", "began", "ended", "failure"),
)
SHARE = 0.02
"""Of the time, that a projection may take."""
SECONDS_BETWEEN = 0.5


@dataclass(slots=True)
class _Pace:
    """When something may be written again: after fifty times as long as it took."""

    due: float = 0.0

    def __call__(self, write: Callable[[], None], *, always: bool) -> None:
        began = time.monotonic()
        if always or began >= self.due:
            write()
            ended = time.monotonic()
            self.due = ended + max(SECONDS_BETWEEN, (ended - began) / SHARE)


@dataclass(slots=True)
class Notebook:
    """Writes into a search's folder."""

    folder: Folder
    _records: _Pace = field(default_factory=_Pace)
    _progress: _Pace = field(default_factory=_Pace)

    def outcome(self, job: Job, outcome: Outcome) -> None:
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
            f"{outcome.began:.3f}",
            f"{outcome.ended:.3f}",
            failure.kind if failure else "",
        ]
        with _explained(self.folder):
            _append(self.folder.jobs, row)
            if failure and failure.traceback and failure.kind in ("bug", "data", "worker_lost"):
                write_text(self.traceback(job), failure.traceback)

    def traceback(self, job: Job) -> Path:
        """Where a job's failure is told in full."""
        name = f"{job.name} attempt {job.attempt + 1}.txt".replace(" ", "-").replace(",", "")
        (self.folder.path / "errors").mkdir(exist_ok=True)
        return self.folder.path / "errors" / name

    def projection(self, entries: Sequence[Entry], *, always: bool = False) -> None:
        """The records and the failures so far."""
        self._records(lambda: self._project(entries), always=always)

    def progress(self, progress: Progress, *, always: bool = False) -> None:
        """How far the search is, for who watches from outside. Raises nothing where that fails:
        it is told again soon, and nothing goes by it."""
        with suppress(OSError):
            self._progress(lambda: write_progress(self.folder.progress, progress), always=always)

    def _project(self, entries: Sequence[Entry]) -> None:
        with _explained(self.folder):
            self._write(entries)

    def _write(self, entries: Sequence[Entry]) -> None:
        write_records(self.folder.records, records(entries))
        if logs := [entry.proposal for entry in entries if entry.proposal is not None]:
            write_log(self.folder.proposals, logs)
        if failed := failures(entries):
            write_text(self.folder.failures, json.dumps(failed, indent=2) + "\n")
        else:
            self.folder.failures.unlink(missing_ok=True)


def read_failures(path: Path) -> list[dict[str, Any]]:
    """What is written down of candidates that failed; nothing where there is no such file."""
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: not valid JSON: {error}; mend it or remove it") from error
    return found


def _append(path: Path, row: Sequence[object]) -> None:
    """A line at the end of a table, below its header and after whatever a crash has torn."""
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([row] if size else [JOBS, row])
        file.write(b"\n" * torn + text.getvalue().encode())


@contextmanager
def _explained(folder: Folder) -> Iterator[None]:
    """Turn a disk that takes no more into a SearchError that says what to do."""
    try:
        yield
    except OSError as error:
        raise SearchError(
            f"{error.filename or folder.path}: cannot be written: {error.strerror or error}; make "
            "room and run the same command again: what is in the study is safe"
        ) from error
