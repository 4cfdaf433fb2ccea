"""The folder of one search: whose it is, and who works in it."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from scalesearch.environment import read_environment
from scalesearch.errors import SearchError
from scalesearch.experiment import (
    Experiment,
    differences,
    read_experiment,
    write_experiment,
)
from scalesearch.files import write_text

TRIES = 5
SECONDS_BETWEEN_TRIES = 0.05
FREE = ("search.stop.", "search.failures.")
"""What of an experiment may change while it is searched."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths inside a results folder."""

    path: Path

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def study(self) -> Path:
        return self.path / "study.db"

    @property
    def records(self) -> Path:
        return self.path / "records.csv"

    @property
    def failures(self) -> Path:
        return self.path / "failures.json"

    @property
    def proposals(self) -> Path:
        return self.path / "proposals.csv"

    @property
    def storage(self) -> Path:
        """Says in which database the study is, where it is not in the folder."""
        return self.path / "storage"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs.csv"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def checkpoints(self) -> Path:
        """Where runs keep their states between epochs."""
        return self.path / "checkpoints"

    @property
    def news(self) -> Path:
        """Where workers tell how far they are."""
        return self.path / "news"

    @property
    def halt(self) -> Path:
        """Where this file exists, jobs end after their present epoch."""
        return self.path / "halt"


def claim(
    path: Path, experiment: Experiment, facts: dict[str, Any], storage: str | None = None
) -> Folder:
    """Make the folder the experiment's, or find that it is.

    ``facts``: environment and data, written down when the folder is made. ``storage``: the URL of
    the database that has the study, if it is not in the folder. Raises SearchError, and writes
    nothing, where the folder holds another experiment, other files, has its study elsewhere, or
    was begun on other images or another kind of device. When to stop and what may fail is no part
    of what is searched, and may change.
    """
    folder = Folder(path)
    if strange := set("?%") & set(str(path)):
        raise SearchError(f"{path}: need a path without {' and '.join(sorted(strange))}; rename it")
    try:
        if folder.experiment.exists():
            _require_same(folder, experiment, facts, storage)
        elif path.is_file() or (path.is_dir() and any(map(_foreign, path.iterdir()))):
            raise SearchError(
                f"{path}: need an empty folder or one of this experiment, got other files; "
                "choose another --results"
            )
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        with locked(path):  # or who is refused would have changed what another one goes by
            if folder.experiment.exists():  # by now
                _require_same(folder, experiment, facts, storage)
            _write_down(folder, experiment, facts, storage)
    except OSError as error:
        raise SearchError(f"{path}: cannot be written: {error.strerror}; choose another") from error
    return folder


def _write_down(
    folder: Folder, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    if not folder.experiment.exists() or not folder.environment.exists():
        write_text(folder.environment, json.dumps(facts, indent=2) + "\n")
    else:
        _add_seeds(folder, facts)
    if storage is not None:
        write_text(folder.storage, without_password(storage) + "\n")
    if not folder.experiment.exists() or read_experiment(folder.experiment) != experiment:
        write_experiment(folder.experiment, experiment)


def _add_seeds(folder: Folder, facts: dict[str, Any]) -> None:
    """Write down the images of seeds that the search was begun without."""
    begun = read_environment(folder.environment)
    seeds = {**facts["data"]["fingerprints"], **begun["data"]["fingerprints"]}
    if seeds != begun["data"]["fingerprints"]:
        begun["data"]["fingerprints"] = seeds
        write_text(folder.environment, json.dumps(begun, indent=2) + "\n")


def _foreign(entry: Path) -> bool:
    """Whether a file is none that an interrupted ``claim`` leaves behind."""
    ours = {"lock", "checkpoints", "environment.json", "storage", "logs"}
    return entry.name not in ours and not entry.name.endswith(".partial")


def without_password(url: str) -> str:
    """The URL of a database, fit to be written down."""
    try:
        return make_url(url)._replace(password=None).render_as_string()
    except (ArgumentError, ValueError):
        # Without what was got, and what the library says of it: parts of a password may be there.
        raise SearchError(
            "storage: need the URL of a database, such as postgresql+psycopg://user:password@host"
            "/name, got one that cannot be read; write special characters of a password as %XX"
        ) from None


def _require_same(
    folder: Folder, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    path = folder.path
    found = differences(experiment, read_experiment(folder.experiment))
    if unlike := [line for line in found if not line.startswith(FREE)]:
        raise SearchError(
            f"{path}: holds another experiment; choose another --results, or remove it "
            "(search.stop and search.failures may change, and `scalesearch extend` asks for more "
            "of the same):\n" + "\n".join(f"  {line}" for line in unlike)
        )
    kept = folder.storage.read_text(encoding="utf-8").strip() if folder.storage.exists() else None
    if kept != (None if storage is None else without_password(storage)):
        raise SearchError(
            f"{path}: has its study in {kept or folder.study.name}, and would begin another one; "
            + (f"say --storage {kept}" if kept else "leave --storage out")
        )
    if not folder.environment.exists():
        return
    begun = read_environment(folder.environment)
    images, first = facts["data"]["fingerprints"], begun["data"]["fingerprints"]
    for what, ours, theirs in (
        ("images", {seed: images[seed] for seed in first if seed in images}, first),
        ("device", facts["device"], begun["device"]),
    ):
        if ours != theirs:
            raise SearchError(
                f"{path}: was begun on other {what} ({theirs}, now {ours}), and a search does not "
                "mix them; put them back, or choose another --results"
            )


@contextmanager
def locked(path: Path, doing: str = "search is running") -> Iterator[None]:
    """Hold the folder alone. The kernel lets go of the lock when its holder dies.

    ``doing``: what another holder is told to be. Raises SearchError where there is one.
    """
    with (path / "lock").open("w") as file:
        if not any(_taken(file) for _ in range(TRIES)):
            raise SearchError(f"{path}: another {doing} in this folder; wait for it or stop it")
        yield


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now; where it is not, after a moment, since who only looks whether
    a driver is at work holds it for an instant."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        time.sleep(SECONDS_BETWEEN_TRIES)
        return False
    return True
