"""The folder of one search: its files, its owner, and the reader of what it holds."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import experiment_differences, read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json, write_text
from scalesearch.locks import lock_folder
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records

CHANGEABLE_PREFIXES = ("search.stop.", "search.failures.")
"""Settings of an experiment that may change during its search."""
NUMERIC_JOB_COLUMNS = {"start": int, "stop": int, "began": float, "ended": float}
"""Columns of ``jobs.csv`` that are not text."""


class _PathInFolder:
    """A property of ``SearchPaths``: the path of this name in the folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, paths: "SearchPaths", owner: type | None = None) -> Path:
        return paths.path / self.name


@dataclass(frozen=True)
class SearchPaths:
    """Paths of the files in a search's folder."""

    path: Path

    experiment = _PathInFolder("experiment.yaml")
    environment = _PathInFolder("environment.json")
    study = _PathInFolder("study.db")
    records = _PathInFolder("records.csv")
    failures = _PathInFolder("failures.json")
    proposals = _PathInFolder("proposals.csv")
    jobs = _PathInFolder("jobs.csv")
    progress = _PathInFolder("progress.json")
    storage = _PathInFolder("storage")
    """Text file with the URL of the study's database, if that is not in the folder."""
    checkpoints = _PathInFolder("checkpoints")
    """Folder of the checkpoints of runs."""
    heartbeats = _PathInFolder("news")
    """Folder in which workers report their progress."""
    halt = _PathInFolder("halt")
    """While this file exists, jobs end after their current epoch."""


class SearchFolder:
    """The contents of a search's folder; each file is read once, when needed.

    Make a new object to see later changes of the files. ``experiment``: that of the search, where
    the caller has it already.
    """

    def __init__(self, path: str | Path, experiment: Experiment | None = None) -> None:
        self.path = Path(path)
        self.paths = SearchPaths(self.path)
        self._known_experiment = experiment

    @classmethod
    def from_path(cls, folder: "FolderLike") -> "SearchFolder":
        """Return the reader of a folder; a reader is returned as it is."""
        return folder if isinstance(folder, SearchFolder) else cls(folder)

    def require_search(self) -> None:
        """Raise SearchError if the folder holds no search."""
        if not self.paths.experiment.is_file():
            raise SearchError(
                f"{self.path}: holds no search (no {self.paths.experiment.name}); name the folder "
                "of one (results/NAME)"
            )

    def require_one_budget(self, purpose: str) -> None:
        """Raise SearchError if the search is over listed points instead of one budget.

        ``purpose``: what the budget is needed for, such as "to report on".
        """
        if self.experiment.search.sampler == "points":
            raise SearchError(
                f"{self.path}: need a search over one budget {purpose}, got points listed one by "
                f"one; `scalesearch status {self.path}` shows the result of each"
            )

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment of the search, with all its settings resolved."""
        if self._known_experiment is not None:
            return self._known_experiment
        self.require_search()
        return read_experiment(self.paths.experiment)

    @property
    def last_epoch(self) -> int:
        """The last rung, which may be before the recipe's last epoch."""
        return self.experiment.rungs[-1]

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device and data of the search."""
        return read_environment(self.paths.environment)

    @cached_property
    def records(self) -> pd.DataFrame:
        """The table of records."""
        return read_records(self.paths.records)

    @cached_property
    def failures(self) -> list[dict[str, Any]]:
        """Candidates that could not be trained."""
        return read_failures(self.paths.failures)

    @cached_property
    def jobs(self) -> pd.DataFrame | None:
        """The log of jobs; None if there is none or, with a warning, if it cannot be read."""
        path = self.paths.jobs
        if not path.is_file():
            return None
        try:
            return pd.read_csv(path, dtype=str, keep_default_na=False).astype(NUMERIC_JOB_COLUMNS)
        except (ValueError, KeyError) as error:  # only people use it
            warnings.warn(f"{path}: cannot be read: {error}", stacklevel=3)
            return None

    @cached_property
    def baseline(self) -> Architecture | CustomModel:
        """The baseline network, for the channels and classes of the data."""
        data = self.environment["data"]
        return self.experiment.baseline.build_architecture(
            in_channels=data["channels"], num_classes=len(data["classes"])
        )


FolderLike: TypeAlias = str | Path | SearchFolder


def read_failures(path: Path) -> list[dict[str, Any]]:
    """Read ``failures.json``; empty if there is no such file.

    Raises SearchError if it is not valid JSON.
    """
    try:
        failures: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SearchError(f"{path}: not valid JSON: {error}; mend it or remove it") from error
    return failures


def claim_folder(
    path: Path, experiment: Experiment, facts: dict[str, Any], storage: str | None = None
) -> SearchPaths:
    """Prepare a folder for an experiment, or check that it already belongs to it.

    ``facts``: environment and data, written when the folder is made. ``storage``: the URL of the
    study's database, if it is not in the folder. Raises SearchError, before anything is written,
    if the folder holds another experiment or other files, has its study elsewhere, or was started
    with other images or another kind of device. Stopping criteria and failure limits may change.
    """
    paths = SearchPaths(path)
    if forbidden_characters := set("?%") & set(str(path)):
        raise SearchError(
            f"{path}: need a path without ? and %, which have a meaning in the URL of a database, "
            f"got {' and '.join(sorted(forbidden_characters))}; rename the folder"
        )
    try:
        if paths.experiment.exists():
            _require_same(paths, experiment, facts, storage)
        elif path.is_file() or (path.is_dir() and any(map(_is_unexpected, path.iterdir()))):
            raise SearchError(
                f"{path}: need an empty folder or one of this experiment, got other files; "
                "choose another --results"
            )
        paths.checkpoints.mkdir(parents=True, exist_ok=True)
        with lock_folder(path):  # otherwise this would change the files of a running search
            if paths.experiment.exists():  # another process may have made it meanwhile
                _require_same(paths, experiment, facts, storage)
            _write_metadata(paths, experiment, facts, storage)
    except OSError as error:
        raise SearchError(f"{path}: cannot be written: {error.strerror}; choose another") from error
    return paths


def _write_metadata(
    paths: SearchPaths, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    if not paths.experiment.exists() or not paths.environment.exists():
        write_json(paths.environment, facts)
    else:
        _add_seed_fingerprints(paths, facts)
    if storage is not None:
        write_text(paths.storage, without_password(storage) + "\n")
    if not paths.experiment.exists() or read_experiment(paths.experiment) != experiment:
        write_experiment(paths.experiment, experiment)


def _add_seed_fingerprints(paths: SearchPaths, facts: dict[str, Any]) -> None:
    """Record the image fingerprints of seeds that were added to the search."""
    stored_environment = read_environment(paths.environment)
    fingerprints = {**facts["data"]["fingerprints"], **stored_environment["data"]["fingerprints"]}
    if fingerprints != stored_environment["data"]["fingerprints"]:
        stored_environment["data"]["fingerprints"] = fingerprints
        write_json(paths.environment, stored_environment)


def _is_unexpected(file: Path) -> bool:
    """Whether an interrupted ``claim_folder`` cannot have left this file."""
    expected_names = {"lock", "checkpoints", "environment.json", "storage", "logs"}
    return file.name not in expected_names and not file.name.endswith(".partial")


def without_password(url: str) -> str:
    """Return the URL of a database without its password."""
    try:
        return make_url(url)._replace(password=None).render_as_string()
    except (ArgumentError, ValueError):
        # The message shows neither the URL nor the library's error: both may hold the password.
        raise SearchError(
            "storage: need the URL of a database, such as postgresql+psycopg://user:password@host"
            "/name, got one that cannot be read; write special characters of a password as %XX"
        ) from None


def _require_same(
    paths: SearchPaths, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    _require_same_experiment(paths, experiment)
    _require_same_storage(paths, storage)
    if paths.environment.exists():
        _require_same_data(paths, facts)


def _require_same_experiment(paths: SearchPaths, experiment: Experiment) -> None:
    changed_lines = experiment_differences(experiment, read_experiment(paths.experiment))
    if forbidden_changes := [
        line for line in changed_lines if not line.startswith(CHANGEABLE_PREFIXES)
    ]:
        raise SearchError(
            f"{paths.path}: holds another experiment; choose another --results, or remove it "
            "(search.stop and search.failures may change, and `scalesearch extend` adds trials, "
            "seeds or epochs):\n" + "\n".join(f"  {line}" for line in forbidden_changes)
        )


def _require_same_storage(paths: SearchPaths, storage: str | None) -> None:
    stored_storage = (
        paths.storage.read_text(encoding="utf-8").strip() if paths.storage.exists() else None
    )
    if stored_storage != (None if storage is None else without_password(storage)):
        raise SearchError(
            f"{paths.path}: has its study in {stored_storage or paths.study.name}, and this would "
            "start another one; "
            + (f"say --storage {stored_storage}" if stored_storage else "leave --storage out")
        )


def _require_same_data(paths: SearchPaths, facts: dict[str, Any]) -> None:
    stored_environment = read_environment(paths.environment)
    fingerprints = facts["data"]["fingerprints"]
    stored_fingerprints = stored_environment["data"]["fingerprints"]
    common_fingerprints = {
        seed: fingerprints[seed] for seed in stored_fingerprints if seed in fingerprints
    }
    for kind, current, stored in (
        ("images", common_fingerprints, stored_fingerprints),
        ("device", facts["device"], stored_environment["device"]),
    ):
        if current != stored:
            raise SearchError(
                f"{paths.path}: was begun on other {kind} ({stored}, now {current}), and a search "
                "does not mix them; put them back, or choose another --results"
            )
