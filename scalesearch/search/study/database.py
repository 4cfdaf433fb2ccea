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

WAIT = 30.0
"""Seconds to wait for another program (a viewer, a copy) that holds a SQLite file."""

LOCAL = {"apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay"} | {
    *("ramfs", "tmpfs", "xfs", "zfs")
}
"""File systems of one machine alone."""


class Database(RDBStorage):
    """Optuna's database, which enters what a trial begins with at once and not one by one.

    Optuna looks the trial up again for each attribute: with twenty of them that is most of what a
    trial costs. Tables and transactions are the same.
    """

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is None:
            return super()._get_prepared_new_trial(study_id, None, session)
        bare = copy(template_trial)
        bare.user_attrs, bare.system_attrs, bare.params, bare.distributions = {}, {}, {}, {}
        trial = super()._get_prepared_new_trial(study_id, bare, session)
        session.flush()
        for table, rows in _begun(template_trial):
            if rows:
                own = [{"trial_id": trial.trial_id, **row} for row in rows]
                session.execute(sqlalchemy.insert(table), own)
        return trial


def _begun(trial: FrozenTrial) -> Iterator[tuple[type[models.BaseModel], list[dict[str, Any]]]]:
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


def database(url: str) -> Database:
    """The database of this URL. Raises what its driver raises, SearchError for a foreign file."""
    template = url.replace("{", "{{").replace("}", "}}")  # the URL is a template to Optuna
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return Database(template)
    if parsed.database in (None, "", ":memory:"):
        return Database(template)
    path = Path(str(parsed.database))
    require_ours(path)
    mode = journal(path)

    def settle(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA synchronous = FULL")

    return Database(
        template,
        engine_kwargs={
            "connect_args": {"timeout": WAIT},
            "pool_events": [(settle, "connect")],
        },
    )


def journal(path: Path) -> str:
    """How SQLite keeps a file whole: with a log of what is new, or of what was.

    The first (WAL) takes one synchronisation with the disk for a change, the second three or four,
    but it works on one machine only: where the file system may be a network's, it is not taken.
    """
    return "WAL" if file_system(path.absolute()) in LOCAL else "DELETE"


def file_system(path: Path) -> str:
    """The kind of file system that an absolute path is on, by Linux's names; else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    kinds = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        kinds[Path(point.replace("\\040", " "))] = kind  # what is mounted last is on top
    resolved = path.resolve()
    return next((kinds[part] for part in (resolved, *resolved.parents) if part in kinds), "")


def require_ours(path: Path) -> None:
    """Raise SearchError for a database of another program, or one that has been damaged."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with closing(sqlite3.connect(path, timeout=WAIT)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "studies" not in tables:
            raise SearchError(
                f"{path}: need a study of Optuna's, got another program's database; "
                "choose another folder, or move the file away"
            )
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({found})")
