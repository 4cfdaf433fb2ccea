"""The databases that Optuna keeps studies in, as a search with one writer uses them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url
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
        bare_trial.user_attrs, bare_trial.system_attrs, bare_trial.params, bare_trial.distributions = {}, {}, {}, {}
        trial = super()._get_prepared_new_trial(study_id, bare_trial, session)
        session.flush()
        for table, rows in _initial_rows(template_trial):
            if rows:
                trial_rows = [{"trial_id": trial.trial_id, **row} for row in rows]
                session.execute(sqlalchemy.insert(table), trial_rows)
        return trial


def _initial_rows(trial: FrozenTrial) -> Iterator[tuple[type[models.BaseModel], list[dict[str, Any]]]]:
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
