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

from scalesearch.search.progress import Progress, Running, aged

SECONDS_BETWEEN = 1.0
"""While images are loaded, news come no faster."""
SECONDS_OLD = 24 * 3600.0
"""What was told before that is of a worker that is no more: no epoch takes a day."""
LONGEST_NAME = 200  # bytes; file systems allow 255, with what is put around a name


def tell(
    folder: Path,
    worker: str,
    job: str,
    epoch: int | None = None,
    accuracy: float | None = None,
    images_per_second: float | None = None,
    *,
    began: float,
    doing: str = "",
) -> None:
    """Put a worker's news in the place of its last ones. Raises nothing where that fails.

    ``job``: its name. ``epoch``: the last one finished, with its accuracy and pace. ``began``: Unix
    seconds of the job's start. ``doing``: what it does instead of training.
    """
    told = {
        "worker": worker,
        "job": job,
        "began": began,
        "told": time.time(),
        "epoch": epoch,
        "accuracy": accuracy,
        "images_per_second": images_per_second,
        "doing": doing,
    }
    path = _file(folder, worker)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        # Not written through to the disk, as results are: after a power cut it is no news.
        torn = path.with_name(f".{path.name}.partial")
        torn.write_text(json.dumps(told), encoding="utf-8")
        os.replace(torn, path)


def silent(folder: Path, worker: str) -> None:
    """Remove a worker's news, if there are any: its job is over."""
    with suppress(OSError):
        _file(folder, worker).unlink()


def forgotten(folder: Path) -> None:
    """Remove everybody's news: for a driver that begins, whose workers have told nothing yet."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.endswith((".json", ".partial")):
                path.unlink(missing_ok=True)


@dataclass(slots=True)
class Newsreel:
    """One job's news from its worker; without a folder nothing is told."""

    folder: Path | None
    worker: str
    job: str
    began: float = field(default_factory=lambda: time.time())
    told: float = field(default_factory=lambda: time.monotonic())
    loading: bool = False

    def epoch(self, index: int, accuracy: float, images_per_second: float) -> None:
        """An epoch is over."""
        self._tell(index, accuracy, images_per_second)

    def doing(self, what: str) -> None:
        """Something else than training; the empty string ends it."""
        self._tell(doing=what)

    def images(self, done: int, total: int) -> None:
        """So many images of a file have come, of so many: what ``data.load`` calls."""
        if done >= total:
            if self.loading:
                self.loading = False
                self.doing("")
        elif time.monotonic() - self.told >= SECONDS_BETWEEN:
            self.loading = True
            self.doing(f"getting images {done / total:.0%}")

    def _tell(
        self,
        epoch: int | None = None,
        accuracy: float | None = None,
        images_per_second: float | None = None,
        doing: str = "",
    ) -> None:
        self.told = time.monotonic()
        if self.folder is not None:
            tell(
                self.folder,
                self.worker,
                self.job,
                epoch,
                accuracy,
                images_per_second,
                began=self.began,
                doing=doing,
            )


@contextmanager
def newsreel(folder: Path | None, worker: str, job: str) -> Iterator[Newsreel]:
    """A job's news, which are removed when it is over, however it ends."""
    reel = Newsreel(folder, worker, job)
    reel.doing("")
    try:
        yield reel
    finally:
        if folder is not None:
            silent(folder, worker)


def news(folder: Path, now: float | None = None) -> list[Running]:
    """What every worker last told, in the order of their names.

    Left out: torn files, and what is older than a day. ``now``: Unix seconds, by default the time.
    """
    now = time.time() if now is None else now
    told = [running for _, running in _told(folder, now)]
    return sorted(told, key=lambda running: running.worker)


def followed(
    running: Sequence[Running], folder: Path, now: float | None = None
) -> tuple[Running, ...]:
    """Jobs in flight, as a driver knows them, with what their workers tell of them.

    News of another job is of a worker that was lost, and left out; of two workers that tell of one
    job (the first of which was lost), the last to tell is believed.
    """
    now = time.time() if now is None else now
    told = {about.job: about for _, about in sorted(_told(folder, now), key=lambda pair: pair[0])}
    return tuple(
        # Before its worker began, a job may have waited; where clocks differ, it still was not
        # begun before it was handed out.
        replace(about, seconds=min(job.seconds, about.seconds))
        if (about := told.get(job.job))
        else job
        for job in running
    )


def present(progress: Progress, folder: Path | None) -> Progress:
    """What a driver told some time ago as it is now, with what workers have told since.

    ``folder``: theirs. Images per second are theirs, where they tell of any. A driver that trains
    in its own process tells nothing meanwhile, and of no job: then jobs are those they tell of.
    """
    now = time.time()
    progress = aged(progress, now)
    if folder is None:
        return progress
    if progress.finished:
        return progress
    running = followed(progress.running, folder, now) or tuple(news(folder, now))
    pace = sum(job.images_per_second or 0.0 for job in running)
    return replace(progress, running=running, images_per_second=pace or progress.images_per_second)


def _told(folder: Path, now: float) -> list[tuple[float, Running]]:
    """When it was told, and what."""
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(".json")]
    except OSError:
        return []  # no worker has told anything yet
    found = []
    for path in paths:
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            document = json.loads(path.read_text(encoding="utf-8"))
            told, began = float(document.pop("told")), float(document.pop("began"))
            # A worker's clock may be ahead of ours.
            running = Running(**document, seconds=max(0.0, now - began))
            if now - told < SECONDS_OLD:
                found.append((told, running))
    return found


def _file(folder: Path, worker: str) -> Path:
    """A worker's file: every character that a file system may refuse is written as its code."""
    name = quote(worker, safe="")
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(worker.encode()).hexdigest()[:16]
        name = f"{name[: LONGEST_NAME - 17]}-{digest}"
    return folder / f"{name}.json"
