"""The folder of one search: whose it is, and who works in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import experiment_differences, read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json, write_text
from scalesearch.locks import lock_folder
from scalesearch.results.environment import read_environment

CHANGEABLE_PREFIXES = ("search.stop.", "search.failures.")
"""What of an experiment may change while it is searched."""


@dataclass(frozen=True, slots=True)
class SearchFolder:
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
    def heartbeats(self) -> Path:
        """Where workers tell how far they are."""
        return self.path / "news"

    @property
    def halt(self) -> Path:
        """Where this file exists, jobs end after their present epoch."""
        return self.path / "halt"


def claim_folder(
    path: Path, experiment: Experiment, facts: dict[str, Any], storage: str | None = None
) -> SearchFolder:
    """Make the folder the experiment's, or find that it is.

    ``facts``: environment and data, written down when the folder is made. ``storage``: the URL of
    the database that has the study, if it is not in the folder. Raises SearchError, and writes
    nothing, where the folder holds another experiment, other files, has its study elsewhere, or
    was begun on other images or another kind of device. When to stop and what may fail is no part
    of what is searched, and may change.
    """
    folder = SearchFolder(path)
    if forbidden_characters := set("?%") & set(str(path)):
        raise SearchError(
            f"{path}: need a path without {' and '.join(sorted(forbidden_characters))}; rename it"
        )
    try:
        if folder.experiment.exists():
            _require_same(folder, experiment, facts, storage)
        elif path.is_file() or (path.is_dir() and any(map(_is_unexpected, path.iterdir()))):
            raise SearchError(
                f"{path}: need an empty folder or one of this experiment, got other files; "
                "choose another --results"
            )
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        with lock_folder(path):  # or who is refused would have changed what another one goes by
            if folder.experiment.exists():  # by now
                _require_same(folder, experiment, facts, storage)
            _write_metadata(folder, experiment, facts, storage)
    except OSError as error:
        raise SearchError(f"{path}: cannot be written: {error.strerror}; choose another") from error
    return folder


def _write_metadata(
    folder: SearchFolder, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    if not folder.experiment.exists() or not folder.environment.exists():
        write_json(folder.environment, facts)
    else:
        _add_seed_fingerprints(folder, facts)
    if storage is not None:
        write_text(folder.storage, without_password(storage) + "\n")
    if not folder.experiment.exists() or read_experiment(folder.experiment) != experiment:
        write_experiment(folder.experiment, experiment)


def _add_seed_fingerprints(folder: SearchFolder, facts: dict[str, Any]) -> None:
    """Write down the images of seeds that the search was begun without."""
    stored_environment = read_environment(folder.environment)
    fingerprints = {**facts["data"]["fingerprints"], **stored_environment["data"]["fingerprints"]}
    if fingerprints != stored_environment["data"]["fingerprints"]:
        stored_environment["data"]["fingerprints"] = fingerprints
        write_json(folder.environment, stored_environment)


def _is_unexpected(file: Path) -> bool:
    """Whether a file is none that an interrupted ``claim`` leaves behind."""
    expected_names = {"lock", "checkpoints", "environment.json", "storage", "logs"}
    return file.name not in expected_names and not file.name.endswith(".partial")


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
    folder: SearchFolder, experiment: Experiment, facts: dict[str, Any], storage: str | None
) -> None:
    path = folder.path
    changed_lines = experiment_differences(experiment, read_experiment(folder.experiment))
    if forbidden_changes := [
        line for line in changed_lines if not line.startswith(CHANGEABLE_PREFIXES)
    ]:
        raise SearchError(
            f"{path}: holds another experiment; choose another --results, or remove it "
            "(search.stop and search.failures may change, and `scalesearch extend` asks for more "
            "of the same):\n" + "\n".join(f"  {line}" for line in forbidden_changes)
        )
    stored_storage = (
        folder.storage.read_text(encoding="utf-8").strip() if folder.storage.exists() else None
    )
    if stored_storage != (None if storage is None else without_password(storage)):
        raise SearchError(
            f"{path}: has its study in {stored_storage or folder.study.name}, and would begin another one; "
            + (f"say --storage {stored_storage}" if stored_storage else "leave --storage out")
        )
    if not folder.environment.exists():
        return
    stored_environment = read_environment(folder.environment)
    fingerprints, stored_fingerprints = (
        facts["data"]["fingerprints"],
        stored_environment["data"]["fingerprints"],
    )
    for kind, current, stored in (
        (
            "images",
            {seed: fingerprints[seed] for seed in stored_fingerprints if seed in fingerprints},
            stored_fingerprints,
        ),
        ("device", facts["device"], stored_environment["device"]),
    ):
        if current != stored:
            raise SearchError(
                f"{path}: was begun on other {kind} ({stored}, now {current}), and a search does not "
                "mix them; put them back, or choose another --results"
            )
