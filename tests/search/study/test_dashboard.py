"""optuna-dashboard shows a copy of a study, and the study stays as it is."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.study.dashboard import copy_sqlite_file, serve_dashboard
from scalesearch.search.study.search_trial import read_trials
from scalesearch.search.study.storage import close_study
from scalesearch.search.study.writing import add_trial, report_mean, tell_complete


def api(address, path, **options):
    """What the dashboard's own interface answers."""
    request = urllib.request.Request(address.replace("/dashboard/", "/api/") + path, **options)
    with urllib.request.urlopen(request, timeout=200) as response:
        return json.loads(response.read() or "null")


def start_trials(study, planned):
    trial = add_trial(study, planned[0])
    report_mean(study, trial, 1, 0.25)
    tell_complete(study, trial, [0.5])
    return add_trial(study, planned[1])


def file_contents(path):
    """What is in its files, but for SQLite's memory that is shared by those who read."""
    files = (file for file in path.iterdir() if file.is_file() and file.suffix != ".db-shm")
    return {file.name: file.read_bytes() for file in files}


def test_a_study_of_a_running_search_is_shown(tmp_path, make_study, planned):
    study = make_study(tmp_path / "study.db")
    start_trials(study, planned)
    before = file_contents(tmp_path)
    with serve_dashboard(tmp_path) as address:
        with urllib.request.urlopen(address, timeout=200) as page:
            assert b"Optuna Dashboard" in page.read()
        (summary,) = api(address, "studies")["study_summaries"]
        assert summary["study_name"] == "tiny"
        detail = api(address, f"studies/{summary['study_id']}")
        assert [trial["state"] for trial in detail["trials"]] == ["Complete", "Running"]
        attributes = {document["key"] for document in detail["trials"][0]["user_attrs"]}
        assert {"role", "macs", "cells"} <= attributes
    assert file_contents(tmp_path) == before
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=60)


def test_a_change_in_the_dashboard_does_not_change_the_study(tmp_path, make_study, planned):
    study = make_study(tmp_path / "study.db")
    start_trials(study, planned)
    with serve_dashboard(tmp_path) as address:
        (summary,) = api(address, "studies")["study_summaries"]
        api(address, f"studies/{summary['study_id']}", method="DELETE")
        assert api(address, "studies")["study_summaries"] == []
    assert len(read_trials(make_study(tmp_path / "study.db"))) == 2


def test_a_study_on_a_server_is_shown(tmp_path, postgres, make_study, planned):
    start_trials(make_study(postgres), planned)
    with serve_dashboard(tmp_path, storage=postgres, name="tiny") as address:
        (summary,) = api(address, "studies")["study_summaries"]
        assert len(api(address, f"studies/{summary['study_id']}")["trials"]) == 2
    with refused(SearchError) as refusal:
        serve_dashboard(tmp_path, storage=postgres, name="other").__enter__()
    assert postgres.split("@")[0].rpartition(":")[2] not in str(refusal.value)


def test_a_file_at_rest_is_copied_and_nothing_is_left_beside_it(tmp_path, make_study, planned):
    study = make_study(tmp_path / "study.db")
    start_trials(study, planned)
    close_study(study)
    before = file_contents(tmp_path)
    assert list(before) == ["study.db"]
    (tmp_path / "copies").mkdir()
    copy_sqlite_file(tmp_path / "study.db", tmp_path / "copies" / "copy.db")
    assert len(read_trials(make_study(tmp_path / "copies" / "copy.db"))) == 2
    assert file_contents(tmp_path) == before


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_the_file_of_a_killed_driver_is_copied_without_its_open_transaction(tmp_path, mode):
    path = tmp_path / "study.db"
    script = f"""
import os, sqlite3
connection = sqlite3.connect({str(path)!r}, isolation_level=None)
connection.execute("PRAGMA journal_mode = {mode}")
connection.execute("CREATE TABLE facts (fact TEXT)")
connection.execute("INSERT INTO facts VALUES ('kept')")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
for _ in range(3000):
    connection.execute("INSERT INTO facts VALUES (?)", ("of half a transaction" * 5,))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    before = file_contents(tmp_path)
    assert len(before) > 1
    (tmp_path / "copies").mkdir()
    copy_sqlite_file(path, tmp_path / "copies" / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copies" / "copy.db")) as connection:
        assert connection.execute("SELECT * FROM facts").fetchall() == [("kept",)]
    assert file_contents(tmp_path) == before


def test_a_folder_without_a_study_is_refused(tmp_path):
    with refused(SearchError):
        serve_dashboard(tmp_path).__enter__()


def test_a_port_that_is_taken_is_named(tmp_path, make_study, planned):
    start_trials(make_study(tmp_path / "study.db"), planned)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with refused(SearchError):
            serve_dashboard(tmp_path, port).__enter__()


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with refused(SearchError):
        serve_dashboard(tmp_path).__enter__()


@pytest.mark.slow
def test_the_dashboard_prints_its_address_and_ends_with_control_c(tmp_path, make_study, planned):
    start_trials(make_study(tmp_path / "study.db"), planned)
    script = (
        "import sys; from pathlib import Path\n"
        "from scalesearch.search.study.dashboard import show_dashboard\n"
        "try:\n"
        "    folder = Path(sys.argv[1])\n"
        "    show_dashboard(folder, 0, on_address=lambda text: print(text, flush=True))\n"
        "except KeyboardInterrupt: print('ended')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        address = process.stdout.readline().strip()
        assert api(address, "studies")["study_summaries"][0]["study_name"] == "tiny"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 0
