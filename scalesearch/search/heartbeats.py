"""Heartbeats: one small file per worker, with its job, last epoch and speed.

A file that cannot be written stops no job, and torn or old files are ignored. No decision depends
on heartbeats.
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

from scalesearch.search.progress import JobProgress, Progress, progress_at

LOADING_SECONDS_BETWEEN = 1.0
"""Shortest time between heartbeats while images are loaded."""
MAX_AGE_SECONDS = 24 * 3600.0
"""Age in seconds from which a heartbeat is ignored: its worker is gone."""
MAX_NAME_BYTES = 200  # file systems allow 255, with prefix and suffix


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
    """Write a worker's heartbeat over its last one; raise nothing if that fails.

    ``job``: name of the job. ``epoch``: last epoch finished, with its accuracy and speed.
    ``started_at``: start of the job in Unix seconds. ``activity``: what the worker does instead of
    training.
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
        # Not flushed to the disk as results are: after a power cut it is not needed.
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(document), encoding="utf-8")
        os.replace(partial, path)


def remove_heartbeat(folder: Path, worker: str) -> None:
    """Remove a worker's heartbeat when its job is over."""
    with suppress(OSError):
        _heartbeat_path(folder, worker).unlink()


def remove_heartbeats(folder: Path) -> None:
    """Remove all heartbeats, when a driver starts."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.endswith((".json", ".partial")):
                path.unlink(missing_ok=True)


@dataclass(slots=True)
class Heartbeat:
    """The heartbeat of one job; without a folder it writes nothing."""

    folder: Path | None
    worker: str
    job: str
    started_at: float = field(default_factory=lambda: time.time())
    last_written: float = field(default_factory=lambda: time.monotonic())
    is_loading: bool = False

    def report_epoch(self, index: int, accuracy: float, images_per_second: float) -> None:
        """Report the end of an epoch."""
        self._write(index, accuracy, images_per_second)

    def report_activity(self, activity: str) -> None:
        """Report another activity than training; the empty string ends it."""
        self._write(activity=activity)

    def report_images(self, done: int, total: int) -> None:
        """Report the number of images loaded so far, and in total."""
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
    """Keep a heartbeat for a job, and remove it when the job ends."""
    heartbeat = Heartbeat(folder, worker, job)
    heartbeat.report_activity("")
    try:
        yield heartbeat
    finally:
        if folder is not None:
            remove_heartbeat(folder, worker)


def read_heartbeats(folder: Path, now: float | None = None) -> list[JobProgress]:
    """Read the last heartbeat of every worker, in the order of their names.

    Torn files and heartbeats older than a day are left out. ``now``: Unix seconds, by default the
    present.
    """
    now = time.time() if now is None else now
    heartbeats = [running for _, running in _read_heartbeat_files(folder, now)]
    return sorted(heartbeats, key=lambda running: running.worker)


def jobs_with_heartbeats(
    running: Sequence[JobProgress], folder: Path, now: float | None = None
) -> tuple[JobProgress, ...]:
    """Add the heartbeats of workers to the running jobs that a driver knows.

    Heartbeats of other jobs belong to lost workers and are left out. If two workers report one job,
    the first was lost, and the latest heartbeat counts.
    """
    now = time.time() if now is None else now
    heartbeats = {
        heartbeat.job: heartbeat
        for _, heartbeat in sorted(_read_heartbeat_files(folder, now), key=lambda pair: pair[0])
    }
    return tuple(
        # A job may have waited for its worker; with clocks that differ, it still did not start
        # before it was submitted.
        replace(heartbeat, seconds=min(job.seconds, heartbeat.seconds))
        if (heartbeat := heartbeats.get(job.job))
        else job
        for job in running
    )


def current_progress(progress: Progress, folder: Path | None) -> Progress:
    """Update a driver's last report to now, with the heartbeats since.

    ``folder``: that of the heartbeats. A driver that trains in its own process reports no running
    job meanwhile: then the jobs are those of the heartbeats.
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
    """Read each heartbeat with the time at which it was written."""
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(".json")]
    except OSError:
        return []  # no worker has written one yet
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
    """Path of a worker's heartbeat, with all special characters escaped."""
    name = quote(worker, safe="")
    if len(name) > MAX_NAME_BYTES:
        name_hash = hashlib.sha256(worker.encode()).hexdigest()[:16]
        name = f"{name[: MAX_NAME_BYTES - 17]}-{name_hash}"
    return folder / f"{name}.json"
