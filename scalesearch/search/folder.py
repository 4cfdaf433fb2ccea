"""The folder of one search: whose it is, and who works in it."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.environment import read_environment
from scalesearch.errors import SearchError
from scalesearch.experiment import (
    Experiment,
    differences,
    read_experiment,
    write_experiment,
)
from scalesearch.files import write_text


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

    def checkpoint(self, candidate: str, seed: int) -> Path:
        """Where a run keeps its state between epochs."""
        return self.path / "checkpoints" / f"{candidate}-{seed}.pt"


def claim(path: Path, experiment: Experiment, facts: dict[str, Any]) -> Folder:
    """Make the folder the experiment's, or find that it is.

    ``facts``: environment and data, written down when the folder is made. Raises SearchError, and
    writes nothing, where the folder holds another experiment, other files, records without their
    study, or was begun on other images or another kind of device.
    """
    folder = Folder(path)
    if strange := set("?%") & set(str(path)):
        raise SearchError(f"{path}: need a path without {' and '.join(sorted(strange))}; rename it")
    try:
        if folder.experiment.exists():
            _require_same(folder, experiment, facts)
        elif path.is_file() or (path.is_dir() and any(map(_foreign, path.iterdir()))):
            raise SearchError(
                f"{path}: need an empty folder or one of this experiment, got other files; "
                "choose another --results"
            )
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        if not folder.environment.exists():
            write_text(folder.environment, json.dumps(facts, indent=2) + "\n")
        if not folder.experiment.exists():
            write_experiment(folder.experiment, experiment)
    except OSError as error:
        raise SearchError(f"{path}: cannot be written: {error.strerror}; choose another") from error
    return folder


def _foreign(entry: Path) -> bool:
    """Whether a file is none that an interrupted ``claim`` leaves behind."""
    ours = {"lock", "checkpoints", "environment.json"}
    return entry.name not in ours and not entry.name.endswith(".partial")


def _require_same(folder: Folder, experiment: Experiment, facts: dict[str, Any]) -> None:
    path = folder.path
    if unlike := differences(experiment, read_experiment(folder.experiment)):
        raise SearchError(
            f"{path}: holds another experiment; choose another --results, or remove it.\n"
            + "\n".join(f"  {line}" for line in unlike)
        )
    if folder.records.exists() and not folder.study.exists():
        raise SearchError(
            f"{path}: holds records without their study.db, and a new search would write over "
            "them; choose another --results"
        )
    if not folder.environment.exists():
        return
    begun = read_environment(folder.environment)
    for what, ours, theirs in (
        ("images", facts["data"]["fingerprints"], begun["data"]["fingerprints"]),
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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SearchError(
                f"{path}: another {doing} in this folder; wait for it or stop it"
            ) from None
        yield
