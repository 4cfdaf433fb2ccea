"""A study's storage: a SQLite file, a database server, or a storage of one's own."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Literal

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import Session

from scalesearch.errors import SearchError


class Database(RDBStorage):
    """Optuna's database, which enters a trial's attributes at once and not one by one.

    Optuna looks the trial up again for each: with twenty attributes that is most of what a trial
    costs. Tables and transactions are the same.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is None or not template_trial.user_attrs:
            return super()._get_prepared_new_trial(study_id, template_trial, session)
        bare = copy(template_trial)
        bare.user_attrs = {}
        trial = super()._get_prepared_new_trial(study_id, bare, session)
        session.flush()
        session.execute(
            sqlalchemy.insert(models.TrialUserAttributeModel),
            [
                {"trial_id": trial.trial_id, "key": key, "value_json": json.dumps(value)}
                for key, value in template_trial.user_attrs.items()
            ],
        )
        return trial


WAIT = 30.0
"""Seconds to wait for another program (a viewer, a copy) that holds a SQLite file."""


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
    where = _shown(storage)
    with _explained(where, "opened"):
        study = optuna.create_study(
            storage=_opened(storage, where),
            study_name=name,
            directions=list(directions),
            load_if_exists=True,
        )
    kept = [direction.name.lower() for direction in study.directions]
    if kept != list(directions):
        raise SearchError(
            f"{where}: study {name!r} has the objectives {', '.join(kept)}, and "
            f"{', '.join(directions)} was asked for; choose another folder or storage"
        )
    return study


@contextmanager
def storing(study: optuna.Study) -> Iterator[None]:
    """Turn what a storage raises into a SearchError that says what to do."""
    try:
        yield
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise _refusal(place(study), "written", error) from error


@contextmanager
def loading(study: optuna.Study) -> Iterator[None]:
    """Turn what a storage raises into a SearchError that says what to do."""
    with _explained(place(study), "read"):
        yield


def engine(study: optuna.Study) -> Engine | None:
    """The database connections of a study, or None where it is in no database."""
    backend = getattr(study._storage, "_backend", study._storage)
    return backend.engine if isinstance(backend, RDBStorage) else None


def place(study: optuna.Study) -> str:
    """Where a study is kept, for people: a path, or a URL without its password."""
    found = engine(study)
    return "the study in memory" if found is None else _shown(str(found.url))


def _opened(storage: str | Path | BaseStorage, where: str) -> BaseStorage:
    if isinstance(storage, BaseStorage):
        return storage
    if isinstance(storage, Path):
        storage = f"sqlite:///{storage}"
    sqlite = storage.startswith("sqlite")
    try:
        return Database(
            storage.replace("{", "{{").replace("}", "}}"),  # it is a template to Optuna
            engine_kwargs={"connect_args": {"timeout": WAIT}} if sqlite else {},
        )
    except ImportError as error:
        raise SearchError(f"{where}: {_driver_missing(storage)}") from error


def _driver_missing(url: str) -> str:
    if url.startswith("postgresql"):
        return (
            "needs the package psycopg; `pip install 'scalesearch[postgres]'` and begin the "
            "address with postgresql+psycopg://"
        )
    return "needs a package for this kind of database that is not installed; install it"


def _shown(storage: str | Path | BaseStorage) -> str:
    if isinstance(storage, BaseStorage):
        return type(storage).__name__
    if isinstance(storage, Path):
        return str(storage)
    try:
        url = make_url(storage)
    except sqlalchemy.exc.ArgumentError:
        return "the storage's address"
    if url.drivername.startswith("sqlite") and url.database:
        return url.database
    return url.render_as_string(hide_password=True)


@contextmanager
def _explained(where: str, done: str) -> Iterator[None]:
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise _refusal(where, done, error) from error


def _refusal(where: str, done: str, error: Exception) -> SearchError:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
    remedy = next(
        (remedy for sign, remedy in REMEDIES.items() if sign in reason),
        "mend that and run the same command again",
    )
    return SearchError(f"{where}: cannot be {done}: {reason}; {remedy}")


REMEDIES = {
    "disk is full": "free some space and run the same command again: what is on record is safe",
    "disk I/O error": "see to the disk and run the same command again",
    "database is locked": "another program is writing to it; end that one and run again",
    "readonly": "make the file and its folder writable and run the same command again",
    "not a database": "move it away and run again: the study is made again from records.csv",
    "malformed": "move it away and run again: the study is made again from records.csv",
}
