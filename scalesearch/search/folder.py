"""The folder of one search: whose it is, and who works in it."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def checkpoint(self, candidate: str, seed: int) -> Path:
        """Where a run keeps its state between epochs."""
        return self.path / "checkpoints" / f"{candidate}-{seed}.pt"


def claim(path: Path, experiment: Experiment, facts: dict[str, Any]) -> Folder:
    """Make the folder the experiment's, or find that it is.

    ``facts``: environment and data, written down when the folder is made.
    Raises SearchError, and writes nothing, where it holds another experiment or other files.
    """
    folder = Folder(path)
    if folder.experiment.exists():
        held = read_experiment(folder.experiment)
        if unlike := differences(experiment, held):
            raise SearchError(
                f"{path}: holds another experiment; choose another --results, or remove it.\n"
                + "\n".join(f"  {line}" for line in unlike)
            )
    elif path.is_file() or (path.is_dir() and {entry.name for entry in path.iterdir()} - {"lock"}):
        raise SearchError(
            f"{path}: need an empty folder or one of this experiment, got other files; "
            "choose another --results"
        )
    else:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_experiment(folder.experiment, experiment)
    if not folder.environment.exists():
        write_text(folder.environment, json.dumps(facts, indent=2) + "\n")
    (folder.path / "checkpoints").mkdir(exist_ok=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder alone. The kernel lets go of the lock when its holder dies."""
    with (path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SearchError(
                f"{path}: another search is running in this folder; wait for it or stop it"
            ) from None
        yield
