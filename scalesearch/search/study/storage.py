"""The databases that Optuna keeps studies in, as a search with one writer uses them.

A study's storage: a SQLite file, a database server, or a storage of one's own.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.orm import Session

from scalesearch.errors import SearchError

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another program (a viewer, a copy) that holds a SQLite file."""

LOCAL_FILE_SYSTEMS = {"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay"} | {
    *("ramfs", "tmpfs", "xfs", "zfs")
}
"""File systems of one machine alone."""


class StudyStorage(RDBStorage):
    """Optuna's database, which enters what a trial begins with at once and not one by one.

    Optuna looks the trial up again for each attribute: with twenty of them that is most of what a
    trial costs. Tables and transactions are the same.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is None:
            return super()._get_prepared_new_trial(study_id, None, session)
        bare_trial = copy(template_trial)
        (
            bare_trial.user_attrs,
            bare_trial.system_attrs,
            bare_trial.params,
            bare_trial.distributions,
        ) = {}, {}, {}, {}
        trial = super()._get_prepared_new_trial(study_id, bare_trial, session)
        session.flush()
        for table, rows in _initial_rows(template_trial):
            if rows:
                trial_rows = [{"trial_id": trial.trial_id, **row} for row in rows]
                session.execute(sqlalchemy.insert(table), trial_rows)
        return trial


def _initial_rows(
    trial: FrozenTrial,
) -> Iterator[tuple[type[models.BaseModel], list[dict[str, Any]]]]:
    """Parameters and attributes of a trial as rows of their tables."""
    yield (
        models.TrialParamModel,
        [
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ],
    )
    for table, attributes in (
        (models.TrialUserAttributeModel, trial.user_attrs),
        (models.TrialSystemAttributeModel, trial.system_attrs),
    ):
        rows = [{"key": key, "value_json": json.dumps(v)} for key, v in attributes.items()]
        yield table, rows


def open_database(url: str) -> StudyStorage:
    """The database of this URL. Raises what its driver raises, SearchError for a foreign file."""
    template = url.replace("{", "{{").replace("}", "}}")  # the URL is a template to Optuna
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return StudyStorage(template)
    if parsed.database in (None, "", ":memory:"):
        return StudyStorage(template)
    path = Path(str(parsed.database))
    require_optuna_database(path)
    mode = journal_mode(path)

    def set_pragmas(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = FULL")

    return StudyStorage(
        template,
        engine_kwargs={
            "connect_args": {"timeout": LOCK_TIMEOUT},
            "pool_events": [(set_pragmas, "connect")],
        },
    )


def journal_mode(path: Path) -> str:
    """How SQLite keeps a file whole: with a log of what is new, or of what was.

    The first (WAL) takes one synchronisation with the disk for a change, the second three or four,
    but it works on one machine only: where the file system may be a network's, it is not taken.
    """
    return "WAL" if file_system(path.absolute()) in LOCAL_FILE_SYSTEMS else "DELETE"


def file_system(path: Path) -> str:
    """The kind of file system that an absolute path is on, by Linux's names; else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    kinds = {}
    for line in mounts.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        kinds[Path(mount_point.replace("\\040", " "))] = kind  # what is mounted last is on top
    resolved = path.resolve()
    return next((kinds[part] for part in (resolved, *resolved.parents) if part in kinds), "")


def require_optuna_database(path: Path) -> None:
    """Raise SearchError for a database of another program, or one that has been damaged."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "studies" not in tables:
            raise SearchError(
                f"{path}: need a study of Optuna's, got another program's database; "
                "choose another folder, or move the file away"
            )
        (check_result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if check_result != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({check_result})")


def open_study(
    storage: str | Path | BaseStorage,
    name: str,
    directions: Sequence[Literal["maximize", "minimize"]] = ("maximize",),
) -> optuna.Study:
    """Open the study of this name, or make it.

    ``storage``: the path of a SQLite file, the URL of a database, or any storage of Optuna's.
    Raises SearchError where it cannot be had; no message shows a password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    location = storage_location(storage)
    with translate_storage_errors(location, "opened"):
        study = optuna.create_study(
            storage=_open_storage(storage, location),
            study_name=name,
            directions=list(directions),
            load_if_exists=True,
        )
    stored_directions = [direction.name.lower() for direction in study.directions]
    if stored_directions != list(directions):
        close_study(study)
        raise SearchError(
            f"{location}: study {name!r} has the objectives {', '.join(stored_directions)}, and "
            f"{', '.join(directions)} was asked for; choose another folder or storage"
        )
    return study


def close_study(study: optuna.Study) -> None:
    """Close a study's connections; SQLite then has all in its one file. It may be used again."""
    if (connections := database_engine(study)) is not None:
        connections.dispose()


@contextmanager
def translate_write_errors(study: optuna.Study) -> Iterator[None]:
    """Turn what a storage raises into a SearchError that says what to do."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise _storage_error(study_location(study), "written", error) from error


@contextmanager
def translate_read_errors(study: optuna.Study) -> Iterator[None]:
    """Turn what a storage raises into a SearchError that says what to do."""
    with translate_storage_errors(study_location(study), "read"):
        yield


def database_engine(study: optuna.Study) -> Engine | None:
    """The database connections of a study, or None where it is in no database."""
    innermost_storage = getattr(study._storage, "_backend", study._storage)
    return innermost_storage.engine if isinstance(innermost_storage, RDBStorage) else None


def study_location(study: optuna.Study) -> str:
    """Where a study is kept, for people: a path, or a URL without its password."""
    connections = database_engine(study)
    return "the study in memory" if connections is None else _url_without_password(connections.url)


def _open_storage(storage: str | Path | BaseStorage, location: str) -> BaseStorage:
    if isinstance(storage, BaseStorage):
        return storage
    url = f"sqlite:///{storage}" if isinstance(storage, Path) else storage
    try:
        return open_database(url)
    except ImportError as error:
        raise SearchError(f"{location}: {_missing_driver_remedy(url)}") from error


def _missing_driver_remedy(url: str) -> str:
    if url.startswith("postgresql"):
        return (
            "needs the package psycopg; `pip install 'scalesearch[postgres]'` and begin the "
            "address with postgresql+psycopg://"
        )
    return "needs a package for this kind of database that is not installed; install it"


def storage_location(storage: str | Path | BaseStorage) -> str:
    """Where a storage is, for people. Raises SearchError for what is no URL of a database."""
    if isinstance(storage, BaseStorage):
        return type(storage).__name__
    if isinstance(storage, Path):
        return str(storage)
    try:
        return _url_without_password(make_url(storage))
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # Without what was got, and what the library says of it: parts of a password may be there.
        raise SearchError(
            "storage: need the URL of a database, such as postgresql+psycopg://user:password@host"
            "/name, got one that cannot be read; write special characters of a password as %XX"
        ) from None


def _url_without_password(url: URL) -> str:
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.set(query={}).render_as_string(hide_password=True)


@contextmanager
def translate_storage_errors(location: str, attempt: str) -> Iterator[None]:
    """Turn what a storage raises into a SearchError: ``where`` cannot be ``done``, and why."""
    try:
        yield
    except (
        sqlite3.Error,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.OptunaError,
    ) as error:
        raise _storage_error(location, attempt, error) from error


def _storage_error(location: str, attempt: str, error: Exception) -> SearchError:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
    remedy = next(
        (remedy for sign, remedy in REMEDIES.items() if sign in reason),
        "mend that and run the same command again",
    )
    return SearchError(f"{location}: cannot be {attempt}: {reason}; {remedy}")


REBUILD_REMEDY = "move it away and run again: the study is made again from records.csv"
REMEDIES = {
    "disk is full": "free some space and run the same command again: what is on record is safe",
    "disk I/O error": "see to the disk and run the same command again",
    "database is locked": "another program is writing to it; end that one and run again",
    "readonly": "make the file and its folder writable and run the same command again",
    "unable to open": "make the folder, and make it writable",
    "not a database": REBUILD_REMEDY,
    "malformed": REBUILD_REMEDY,
    "password authentication": "correct the user and the password in the address",
    "resolve": "correct the address",
    "does not exist": "make it, or correct the address",
    "connection": "see that the server runs and can be reached, and run the same command again: "
    "what is on record is safe",
}
"""What to do, by a part of what a database says."""
