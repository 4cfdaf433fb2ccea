"""A study in a shared database belongs to one driver at a time, wherever the drivers run."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import optuna
import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from scalesearch.errors import SearchError
from scalesearch.search.study.opened import engine, place, storing

HOLDER = sqlalchemy.text(
    "SELECT holder.application_name FROM pg_locks AS held JOIN pg_stat_activity AS holder "
    "USING (pid) WHERE held.locktype = 'advisory' AND held.granted "
    "AND (held.classid::bigint << 32) + held.objid::bigint = :key"
)
UNLOCK = sqlalchemy.text("SELECT pg_advisory_unlock(:key)")
# A machine that is gone says no goodbye: after a minute of silence the server lets go for it.
KEEPALIVE = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")


@contextmanager
def exclusive(study: optuna.Study) -> Iterator[None]:
    """Hold a study in PostgreSQL alone. The server lets go of the lock when its holder dies.

    A study in a file is held by its folder's lock, and one in memory is nobody else's; other
    databases know no such lock, and there the folder's is the only one. Raises SearchError where
    another driver has the study.
    """
    database = engine(study)
    if database is None or database.name != "postgresql":
        yield
        return
    # A connection of its own: the study's may be closed and opened again, which would let go.
    own = sqlalchemy.create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with storing(study):
        connection = own.connect()
    try:
        with storing(study):
            _lock(connection, study)
        try:
            yield
        finally:
            # Said, since a server takes a while to notice that a connection was closed.
            with suppress(sqlalchemy.exc.SQLAlchemyError):
                connection.execute(UNLOCK, {"key": _key(study.study_name)})
    finally:
        connection.close()


def _lock(connection: Connection, study: optuna.Study) -> None:
    name = f"scalesearch {socket.gethostname()[:30]} process {os.getpid()}"
    connection.execute(
        sqlalchemy.text("SELECT set_config('application_name', :name, false)"), {"name": name}
    )
    for setting in KEEPALIVE:
        connection.execute(sqlalchemy.text(f"SET {setting}"))
    key = {"key": _key(study.study_name)}
    if connection.execute(sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
        return
    holder = connection.execute(HOLDER, key).scalar() or "another driver"
    raise SearchError(
        f"{place(study)}: study {study.study_name!r} is another driver's ({holder}); wait for it "
        "or stop it"
    )


def _key(name: str) -> int:
    """The lock's number: of 63 bits, as PostgreSQL's are signed."""
    digest = hashlib.blake2b(f"scalesearch {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
