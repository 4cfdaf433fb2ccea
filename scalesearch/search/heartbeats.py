"""What workers tell while they train: one small file for each, which anybody may read.

News is for people. A file that cannot be written stops no job, one that was torn or left behind
misleads nobody for long, and nothing that counts is read from here.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from scalesearch.search.progress_file import JobProgress, Progress, progress_at

LOADING_SECONDS_BETWEEN = 1.0
"""While images are loaded, news come no faster."""
MAX_AGE_SECONDS = 24 * 3600.0
"""What was told before that is of a worker that is no more: no epoch takes a day."""
MAX_NAME_BYTES = 200  # bytes; file systems allow 255, with what is put around a name


def write_heartbeat(
    folder: Path,
    worker: str,
    job: str,
    epoch: int | None = None,
    accuracy: float | None = None,
    images_per_second: float | None = None,
    *,
    started_at: float,
    activity: str = "",
) -> None:
    """Put a worker's news in the place of its last ones. Raises nothing where that fails.

    ``job``: its name. ``epoch``: the last one finished, with its accuracy and pace. ``began``: Unix
    seconds of the job's start. ``doing``: what it does instead of training.
    """
    document = {
        "worker": worker,
        "job": job,
        "began": started_at,
        "told": time.time(),
        "epoch": epoch,
        "accuracy": accuracy,
        "images_per_second": images_per_second,
        "doing": activity,
    }
    path = _heartbeat_path(folder, worker)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # Not written through to the disk, as results are: after a power cut it is no news.
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(document), encoding="utf-8")
        os.replace(partial, path)


def remove_heartbeat(folder: Path, worker: str) -> None:
    """Remove a worker's news, if there are any: its job is over."""
    with suppress(OSError):
        _heartbeat_path(folder, worker).unlink()


def remove_heartbeats(folder: Path) -> None:
    """Remove everybody's news: for a driver that begins, whose workers have told nothing yet."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.endswith((".json", ".partial")):
                path.unlink(missing_ok=True)


@dataclass(slots=True)
class Heartbeat:
    """One job's news from its worker; without a folder nothing is told."""

    folder: Path | None
    worker: str
    job: str
    started_at: float = field(default_factory=lambda: time.time())
    last_written: float = field(default_factory=lambda: time.monotonic())
    is_loading: bool = False

    def report_epoch(self, index: int, accuracy: float, images_per_second: float) -> None:
        """An epoch is over."""
        self._write(index, accuracy, images_per_second)

    def report_activity(self, activity: str) -> None:
        """Something else than training; the empty string ends it."""
        self._write(activity=activity)

    def report_images(self, done: int, total: int) -> None:
        """So many images of a file have come, of so many: what ``data.load`` calls."""
        if done >= total:
            if self.is_loading:
                self.is_loading = False
                self.report_activity("")
        elif time.monotonic() - self.last_written >= LOADING_SECONDS_BETWEEN:
            self.is_loading = True
            self.report_activity(f"getting images {done / total:.0%}")

    def _write(
        self,
        epoch: int | None = None,
        accuracy: float | None = None,
        images_per_second: float | None = None,
        activity: str = "",
    ) -> None:
        self.last_written = time.monotonic()
        if self.folder is not None:
            write_heartbeat(
                self.folder,
                self.worker,
                self.job,
                epoch,
                accuracy,
                images_per_second,
                started_at=self.started_at,
                activity=activity,
            )


@contextmanager
def open_heartbeat(folder: Path | None, worker: str, job: str) -> Iterator[Heartbeat]:
    """A job's news, which are removed when it is over, however it ends."""
    heartbeat = Heartbeat(folder, worker, job)
    heartbeat.report_activity("")
    try:
        yield heartbeat
    finally:
        if folder is not None:
            remove_heartbeat(folder, worker)


def read_heartbeats(folder: Path, now: float | None = None) -> list[JobProgress]:
    """What every worker last told, in the order of their names.

    Left out: torn files, and what is older than a day. ``now``: Unix seconds, by default the time.
    """
    now = time.time() if now is None else now
    heartbeats = [running for _, running in _read_heartbeat_files(folder, now)]
    return sorted(heartbeats, key=lambda running: running.worker)


def jobs_with_heartbeats(
    running: Sequence[JobProgress], folder: Path, now: float | None = None
) -> tuple[JobProgress, ...]:
    """Jobs in flight, as a driver knows them, with what their workers tell of them.

    News of another job is of a worker that was lost, and left out; of two workers that tell of one
    job (the first of which was lost), the last to tell is believed.
    """
    now = time.time() if now is None else now
    heartbeats = {
        heartbeat.job: heartbeat
        for _, heartbeat in sorted(_read_heartbeat_files(folder, now), key=lambda pair: pair[0])
    }
    return tuple(
        # Before its worker began, a job may have waited; where clocks differ, it still was not
        # begun before it was handed out.
        replace(about, seconds=min(job.seconds, about.seconds))
        if (about := heartbeats.get(job.job))
        else job
        for job in running
    )


def current_progress(progress: Progress, folder: Path | None) -> Progress:
    """What a driver told some time ago as it is now, with what workers have told since.

    ``folder``: theirs. Images per second are theirs, where they tell of any. A driver that trains
    in its own process tells nothing meanwhile, and of no job: then jobs are those they tell of.
    """
    now = time.time()
    progress = progress_at(progress, now)
    if folder is None:
        return progress
    if progress.finished:
        return progress
    running = jobs_with_heartbeats(progress.running, folder, now) or tuple(
        read_heartbeats(folder, now)
    )
    images_per_second = sum(job.images_per_second or 0.0 for job in running)
    return replace(
        progress, running=running, images_per_second=images_per_second or progress.images_per_second
    )


def _read_heartbeat_files(folder: Path, now: float) -> list[tuple[float, JobProgress]]:
    """When it was told, and what."""
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(".json")]
    except OSError:
        return []  # no worker has told anything yet
    heartbeats = []
    for path in paths:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            document = json.loads(path.read_text(encoding="utf-8"))
            written_at, started_at = float(document.pop("told")), float(document.pop("began"))
            # A worker's clock may be ahead of ours.
            running = JobProgress(**document, seconds=max(0.0, now - started_at))
            if now - written_at < MAX_AGE_SECONDS:
                heartbeats.append((written_at, running))
    return heartbeats


def _heartbeat_path(folder: Path, worker: str) -> Path:
    """A worker's file: every character that a file system may refuse is written as its code."""
    name = quote(worker, safe="")
    if len(name) > MAX_NAME_BYTES:
        name_hash = hashlib.sha256(worker.encode()).hexdigest()[:16]
        name = f"{name[: MAX_NAME_BYTES - 17]}-{name_hash}"
    return folder / f"{name}.json"
