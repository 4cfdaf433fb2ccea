"""A study opens from a file, a server or a storage; what is in the way is said with a remedy."""

import json
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from refusals import refused
from sqlalchemy import event

from scalesearch.errors import SearchError
from scalesearch.search.study import storage as database
from scalesearch.search.study.search_trial import read_trials
from scalesearch.search.study.storage import close_study, database_engine
from scalesearch.search.study.writing import (
    add_trial,
    record_outcome,
    report_mean,
    tell_complete,
    tell_failed,
)

PLAIN = """
import json, sys, optuna
study = optuna.load_study(study_name="tiny", storage=sys.argv[1])
print(json.dumps([
    {
        "state": trial.state.name,
        "params": trial.params,
        "values": trial.values,
        "intermediate": trial.intermediate_values,
        "constraints": trial.constraints,
        "attributes": trial.user_attrs,
    }
    for trial in study.trials
]))
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.db"


@pytest.mark.parametrize("study", ["sqlite", "postgres"], indirect=True)
def test_plain_optuna_sees_a_normal_study(study, planned, rows, tiny):
    complete, failed, _ = (
        add_trial(study, planned_trial, budget=tiny().budget) for planned_trial in planned[:3]
    )
    record_outcome(study, complete, [rows(0, 1), rows(0, 2)], attribute_name="seed 0 epochs 1-2")
    report_mean(study, complete, 1, 0.25)
    tell_complete(study, complete, [0.5])
    tell_failed(study, failed, "diverged", "the loss is nan")
    url = database_engine(study).url.render_as_string(hide_password=False)
    process = subprocess.run([sys.executable, "-c", PLAIN, url], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    first, second, third = json.loads(process.stdout)
    candidate = planned[0].candidate
    assert [trial["state"] for trial in (first, second, third)] == ["COMPLETE", "FAIL", "RUNNING"]
    shares = candidate.shares
    assert first["params"] == {
        "depth_share": shares.depth,
        "width_share": shares.width,
        "resolution_share": shares.resolution,
    }
    assert (first["values"], first["intermediate"]) == ([0.5], {"1": 0.25})
    excess = abs(candidate.factor / 2.0 - 1) - 0.04
    assert first["constraints"] == {"budget": pytest.approx(excess)}
    assert excess <= 0
    attributes = first["attributes"]
    assert attributes["constraint_budget"] == pytest.approx(excess)
    assert attributes["role"] == "depth+searched"
    assert attributes["macs"] == candidate.cost.macs
    assert attributes["alpha"] == candidate.multipliers.depth
    assert [row["epoch"] for row in attributes["seed 0 epochs 1-2"]] == [1, 2]
    assert not [name for name, value in attributes.items() if isinstance(value, dict)]
    assert second["attributes"]["failure"] == "the loss is nan"


def test_a_study_is_found_again_and_one_of_other_objectives_is_refused(path, planned, make_study):
    add_trial(make_study(path), planned[0])
    assert len(read_trials(make_study(path))) == 1
    assert read_trials(make_study(path, "another")) == []
    with refused(SearchError):
        make_study(path, "tiny", ["maximize", "minimize"])


def test_a_path_may_hold_braces_and_spaces(tmp_path, planned, make_study):
    path = tmp_path / "a {strange} name.db"
    add_trial(make_study(path), planned[0])
    assert path.exists()
    assert len(read_trials(make_study(path))) == 1


def test_an_enqueued_trial_is_refused_by_its_number(path, make_study):
    study = make_study(path)
    study.enqueue_trial({"depth_share": 0.5})
    with refused(SearchError):
        read_trials(study)


@pytest.mark.parametrize(
    "content",
    [
        b"no database at all, but a text " * 40,
        None,
    ],
)
def test_a_foreign_file_is_refused_and_left_as_it_is(path, content, make_study):
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with refused(SearchError):
        make_study(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_a_torn_file_is_refused_with_the_remedy(path, planned, fraction, make_study):
    study = make_study(path)
    for planned_trial in planned:
        add_trial(study, planned_trial)
    database_engine(study).dispose()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    with refused(SearchError):
        make_study(path)


def test_a_file_that_is_damaged_inside_is_refused_before_anything_is_written(
    path, planned, make_study
):
    study = make_study(path)
    for planned_trial in planned:
        add_trial(study, planned_trial)
    close_study(study)
    valid_content = path.read_bytes()
    middle = len(valid_content) // 2 // 4096 * 4096
    path.write_bytes(valid_content[:middle] + bytes([255]) * 4096 + valid_content[middle + 4096 :])
    with pytest.raises(SearchError, match=r"malformed.*rebuilt from records\.csv"):
        make_study(path)


def test_a_folder_that_is_not_there_is_named(tmp_path, make_study):
    with refused(SearchError):
        make_study(tmp_path / "none" / "study.db")


def limit_pages(study, pages):
    """As if the disk had room for so many pages more; None for as many as there may be."""
    with database_engine(study).connect() as connection:
        page_count = connection.exec_driver_sql("PRAGMA page_count").scalar()
    max_pages = 10**6 if pages is None else page_count + pages

    def limit(connection, _):
        connection.execute(f"PRAGMA max_page_count = {max_pages}")

    database_engine(study).dispose()
    event.listen(database_engine(study), "connect", limit)


def test_a_full_disk_loses_nothing_and_the_trial_can_continue(path, planned, rows, make_study):
    study = make_study(path)
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
    limit_pages(study, 0)
    long_rows = rows(0, 2, device="x" * 100_000)
    with refused(SearchError):
        record_outcome(study, trial, [long_rows], attribute_name="seed 0 epochs 2-2")
    assert [row["epoch"] for row in trial.rows] == [1]
    assert [row["epoch"] for row in read_trials(make_study(path))[0].rows] == [1]
    limit_pages(study, None)
    assert record_outcome(study, trial, [long_rows], attribute_name="seed 0 epochs 2-2") == []
    assert [row["epoch"] for row in read_trials(make_study(path))[0].rows] == [1, 2]


def test_a_trial_is_added_in_one_transaction(path, planned, monkeypatch, make_study):
    monkeypatch.setattr("optuna.storages._rdb.storage.time.sleep", lambda seconds: None)
    study = make_study(path)
    add_trial(study, planned[0])
    limit_pages(study, 1)
    with refused(SearchError):
        add_trial(study, planned[1], {"log": "x" * 100_000})
    assert len(read_trials(make_study(path))) == 1
    limit_pages(study, None)
    assert add_trial(study, planned[1]).number == 1


def test_a_file_locked_by_another_program_is_refused(path, planned, rows, monkeypatch, make_study):
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.05)
    study = make_study(path)
    trial = add_trial(study, planned[0])
    with closing(sqlite3.connect(path, isolation_level=None)) as other_connection:
        other_connection.execute("BEGIN IMMEDIATE")
        with refused(SearchError):
            record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
    record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
    assert len(read_trials(study)[0].rows) == 1


@pytest.mark.parametrize(
    ("file_system", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("", "delete")]
)
def test_wal_is_used_on_local_file_systems_only(path, monkeypatch, file_system, mode, make_study):
    monkeypatch.setattr(database, "file_system", lambda path: file_system)
    with database_engine(make_study(path)).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == mode
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_file_system_is_that_of_the_nearest_mount():
    assert database.file_system(Path("/proc/self/status")) == "proc"
    assert database.file_system(Path("/")) != "proc"


def test_a_server_that_is_not_there_is_named_without_its_password(make_study):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"postgresql+psycopg://me:geheim@127.0.0.1:{port}/name?sslpassword=geheim"
    with pytest.raises(
        SearchError, match="check that the server runs and can be reached"
    ) as refusal:
        make_study(url)
    assert f"me:***@127.0.0.1:{port}/name: cannot be opened" in str(refusal.value)
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (lambda url: url.replace("@", "x@"), "correct the user and the password in the URL"),
        (lambda url: url + "x", "does not exist; create it, or correct the URL"),
    ],
)
def test_an_error_of_the_server_comes_with_the_remedy(postgres, spoil, remedy, make_study):
    with pytest.raises(SearchError, match=remedy):
        make_study(spoil(postgres))


@pytest.mark.parametrize("url", ["no address", "postgresql://me:x@host:geheim/name", "a:b"])
def test_an_invalid_url_is_refused_without_showing_it(url, make_study):
    with refused(SearchError):
        make_study(url)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch, make_study):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with refused(SearchError):
        make_study("postgresql+psycopg://me:geheim@host/name")


def test_any_optuna_storage_can_be_used(tmp_path, planned, make_study):
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "log"))
    study = make_study(optuna.storages.JournalStorage(journal))
    assert add_trial(study, planned[0]).number == 0
    assert len(read_trials(study)) == 1


def test_the_statements_of_a_write_do_not_depend_on_the_number_of_trials(
    path, planned, rows, make_study
):
    study = make_study(path)
    executed = []
    event.listen(
        database_engine(study), "before_cursor_execute", lambda *event: executed.append(event[2])
    )

    def statements():
        executed.clear()
        trial = add_trial(study, planned[0])
        record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
        report_mean(study, trial, 1, 0.5)
        return list(executed)

    statements()
    second = statements()
    for _ in range(20):
        add_trial(study, planned[1])
    assert statements() == second
