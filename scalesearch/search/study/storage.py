"""Open a study in a SQLite file, on a database server, or in any Optuna storage.

Errors of the database become a SearchError that says what to do.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.engine import URL, Engine, make_url

from scalesearch.errors import SearchError
from scalesearch.search.study.optuna_private import StudyStorage, underlying_storage

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another program (a viewer, a copy) that has locked a SQLite file."""

LOCAL_FILE_SYSTEMS = {"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay"} | {
    *("ramfs", "tmpfs", "xfs", "zfs")
}
"""File systems that only one machine can use, by Linux's names."""


def open_database(url: str) -> StudyStorage:
    """Open the database at this URL.

    Raises:
        SearchError: the file is another program's database.
        Exception: whatever the database driver raises.
    """
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
    """Choose SQLite's journal mode: WAL on a local file system, else DELETE.

    WAL takes one synchronisation with the disk for each change, DELETE three or four. But WAL works
    on one machine only, so it is not used where the file system may be a network's.
    """
    return "WAL" if file_system(path.absolute()) in LOCAL_FILE_SYSTEMS else "DELETE"


def file_system(path: Path) -> str:
    """Return the kind of file system of an absolute path, or "" if not known."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    kinds = {}
    for line in mounts.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        kinds[Path(mount_point.replace("\\040", " "))] = kind  # the last mount covers earlier ones
    resolved = path.resolve()
    return next((kinds[part] for part in (resolved, *resolved.parents) if part in kinds), "")


def require_optuna_database(path: Path) -> None:
    """Raise an error for another program's database, or for a damaged one."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "studies" not in tables:
            raise SearchError(
                f"{path}: need an Optuna study, got another program's database; "
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
    """Open the study with this name, or create it.

    Args:
        storage: path of a SQLite file, URL of a database, or any Optuna storage.
        name: name of the study.
        directions: one for each objective.

    Raises:
        SearchError: the study cannot be opened, or has other objectives. No message shows a
            password.
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
            f"{location}: study {name!r} needs the objectives {', '.join(stored_directions)}, "
            f"got {', '.join(directions)}; choose another folder or storage"
        )
    return study


def close_study(study: optuna.Study) -> None:
    """Close a study's connections (SQLite leaves one file); it stays usable."""
    if (engine := database_engine(study)) is not None:
        engine.dispose()


@contextmanager
def translate_write_errors(study: optuna.Study) -> Iterator[None]:
    """Turn errors of writing to a study into a SearchError that says what to do."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise _storage_error(study_location(study), "written", error) from error


@contextmanager
def translate_read_errors(study: optuna.Study) -> Iterator[None]:
    """Turn errors of reading a study into a SearchError that says what to do."""
    with translate_storage_errors(study_location(study), "read"):
        yield


def database_engine(study: optuna.Study) -> Engine | None:
    """Return the database engine of a study, or None if the study is in no database."""
    storage = underlying_storage(study)
    return storage.engine if isinstance(storage, RDBStorage) else None


def study_location(study: optuna.Study) -> str:
    """Describe where a study is kept: a path, or a URL without its password."""
    engine = database_engine(study)
    return "the study in memory" if engine is None else _url_without_password(engine.url)


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
            "needs the package psycopg; run `pip install 'scalesearch[postgres]'` and begin the "
            "URL with postgresql+psycopg://"
        )
    return "needs the Python driver of this kind of database; install it"


def storage_location(storage: str | Path | BaseStorage) -> str:
    """Describe where a storage is. Raises SearchError if the URL cannot be read."""
    if isinstance(storage, BaseStorage):
        return type(storage).__name__
    if isinstance(storage, Path):
        return str(storage)
    try:
        return _url_without_password(make_url(storage))
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # The message omits the URL and the library's own message: both may contain the password.
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
    """Turn a storage's errors into a SearchError with location and reason."""
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
        "fix this and run the same command again",
    )
    return SearchError(f"{location}: cannot be {attempt}: {reason}; {remedy}")


REBUILD_REMEDY = "move it away and run again: the study is rebuilt from records.csv"
REMEDIES = {
    "disk is full": "free some space and run the same command again: recorded results are safe",
    "disk I/O error": "check the disk and run the same command again",
    "database is locked": "another program is writing to it; stop that program and run again",
    "readonly": "make the file and its folder writable and run the same command again",
    "unable to open": "create the folder and make it writable",
    "not a database": REBUILD_REMEDY,
    "malformed": REBUILD_REMEDY,
    "password authentication": "correct the user and the password in the URL",
    "resolve": "correct the URL",
    "does not exist": "create it, or correct the URL",
    "connection": "check that the server runs and can be reached, and run the same command again: "
    "recorded results are safe",
}
"""Advice by a part of the database's message."""
