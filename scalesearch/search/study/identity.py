"""Bind a study to its experiment, and lock it for one driver.

A database may hold many studies; two experiments of one name are not mixed. In a shared database a
study belongs to one driver at a time, on any machine.
"""

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import optuna
import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from scalesearch.errors import SearchError
from scalesearch.search.study.storage import (
    database_engine,
    study_location,
    translate_read_errors,
    translate_write_errors,
)

IDENTITY_ATTRIBUTE = "of"
"""Study attribute with the description of its experiment."""


def bind_study(study: optuna.Study, identity: Mapping[str, Any]) -> None:
    """Store the experiment's identity in the study, or compare with a stored one.

    Raises SearchError, with the names of the differences, if the study is another experiment's.
    """
    identity_document = json.loads(json.dumps(identity))
    with translate_read_errors(study):
        stored_identity = study.user_attrs.get(IDENTITY_ATTRIBUTE)
    if stored_identity is None:
        with translate_write_errors(study):
            study.set_user_attr(IDENTITY_ATTRIBUTE, identity_document)
    elif different_names := [
        name
        for name in {**stored_identity, **identity_document}
        if stored_identity.get(name) != identity_document.get(name)
    ]:
        raise SearchError(
            f"{study_location(study)}: study {study.study_name!r} belongs to an experiment with "
            f"another {', '.join(different_names)}; give this one another name, or choose another "
            "storage"
        )


HOLDER_QUERY = sqlalchemy.text(
    "SELECT holder.application_name FROM pg_locks AS held JOIN pg_stat_activity AS holder "
    "USING (pid) WHERE held.locktype = 'advisory' AND held.granted "
    "AND (held.classid::bigint << 32) + held.objid::bigint = :key"
)
UNLOCK_QUERY = sqlalchemy.text("SELECT pg_advisory_unlock(:key)")
# A lost machine does not close its connection: after a minute the server releases its lock.
KEEPALIVE = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")


@contextmanager
def lock_study(study: optuna.Study) -> Iterator[None]:
    """Lock a study in PostgreSQL. The server releases the lock when its holder dies.

    Elsewhere this does nothing: a study in a file is protected by its folder's lock, a study in
    memory is not shared, and other databases have no such lock. Raises SearchError if another
    driver has locked the study.
    """
    study_engine = database_engine(study)
    if study_engine is None or study_engine.name != "postgresql":
        yield
        return
    # A separate connection: the study's own may be closed and reopened, which would unlock.
    lock_engine = sqlalchemy.create_engine(
        study_engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with translate_write_errors(study):
        connection = lock_engine.connect()
    try:
        with translate_write_errors(study):
            _acquire_lock(connection, study)
        try:
            yield
        finally:
            # Unlock explicitly, since the server takes a while to notice a closed connection.
            with suppress(sqlalchemy.exc.SQLAlchemyError):
                connection.execute(UNLOCK_QUERY, {"key": _lock_key(study.study_name)})
    finally:
        connection.close()


def _acquire_lock(connection: Connection, study: optuna.Study) -> None:
    name = f"scalesearch {socket.gethostname()[:30]} process {os.getpid()}"
    connection.execute(
        sqlalchemy.text("SELECT set_config('application_name', :name, false)"), {"name": name}
    )
    for parameter in KEEPALIVE:
        connection.execute(sqlalchemy.text(f"SET {parameter}"))
    parameters = {"key": _lock_key(study.study_name)}
    if connection.execute(
        sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), parameters
    ).scalar():
        return
    holder = connection.execute(HOLDER_QUERY, parameters).scalar() or "another driver"
    raise SearchError(
        f"{study_location(study)}: study {study.study_name!r} is in use by another driver "
        f"({holder}); wait for it or stop it"
    )


def _lock_key(name: str) -> int:
    """Compute the number of the lock, 63 bits since PostgreSQL's are signed."""
    digest = hashlib.blake2b(f"scalesearch {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
