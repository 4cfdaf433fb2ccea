"""A study in PostgreSQL is one driver's, for as long as that one lives."""

import subprocess
import sys
import time
from contextlib import suppress

import pytest
import sqlalchemy
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.study.identity import lock_study
from scalesearch.search.study.storage import database_engine

HOLDER = """
import sys
from scalesearch.search.study.identity import lock_study
from scalesearch.search.study.storage import open_study
with lock_study(open_study(sys.argv[1], "tiny")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def statements():
    """SQL statements sent to any database during the test."""
    statements = []

    def record_statement(*event):
        statements.append(event[2])

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", record_statement)
    yield statements
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", record_statement)


def can_be_locked_within(seconds, study):
    """Whether the study can be locked within some seconds."""
    until = time.monotonic() + seconds
    while True:
        try:
            with lock_study(study):
                return True
        except SearchError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)


def test_a_second_driver_is_refused_with_the_name_of_the_first(postgres, make_study):
    first, second = make_study(postgres), make_study(postgres)
    with lock_study(first):
        with refused(SearchError):
            lock_study(second).__enter__()
        with lock_study(make_study(postgres, "another")):
            pass  # other studies of the same database are free
    with lock_study(second):
        pass


def test_a_driver_that_ends_unlocks_the_study_at_once(postgres, make_study, statements):
    first, second = make_study(postgres), make_study(postgres)
    for study in (first, second):
        with suppress(KeyboardInterrupt), lock_study(study):
            raise KeyboardInterrupt
    assert sum("pg_advisory_unlock" in statement for statement in statements) == 2


@pytest.mark.slow
def test_a_killed_driver_does_not_keep_the_lock(postgres, make_study):
    study = make_study(postgres)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, postgres], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with refused(SearchError):
            lock_study(study).__enter__()
        holder.kill()
        holder.wait()
        assert can_be_locked_within(200, study)


def test_the_lock_outlives_the_connections_of_the_study(postgres, make_study):
    first, second = make_study(postgres), make_study(postgres)
    with lock_study(first):
        database_engine(first).dispose()
        with refused(SearchError):
            lock_study(second).__enter__()


def test_the_server_is_asked_to_notice_a_machine_that_is_gone(postgres, make_study, statements):
    with lock_study(make_study(postgres)):
        pass
    assert "SET tcp_keepalives_idle = 30" in statements


def test_other_storages_are_not_locked(tmp_path, make_study):
    study = make_study(tmp_path / "study.db")
    with lock_study(study), lock_study(study):
        pass
