"""The status is read from files: with a running driver, after a kill, and in a copy."""

import fcntl
import json
import shutil
import subprocess
import sys
import time

import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, write_experiment
from scalesearch.errors import SearchError
from scalesearch.locks import lock_folder
from scalesearch.reporting.status import driver_status, search_status
from scalesearch.reporting.terminal import search_display as watching
from scalesearch.results.records import records_frame, write_records
from scalesearch.search.heartbeats import write_heartbeat
from scalesearch.search.progress import (
    JobProgress,
    Progress,
    RungProgress,
    read_progress,
    write_progress,
)

NAMES = ("aa", "bb", "cc", "dd", "ee")
JOB = JobProgress("dd seed 0 epochs 2-3", "", 50.0)
NOW = Progress("x", 12, 30, (RungProgress(1, 5, 5), RungProgress(3, 2, 3)), (JOB,), stopped=2)


def row(candidate, seed, epoch, accuracy, stopped=""):
    return {
        "trial": NAMES.index(candidate), "candidate": candidate, "role": "searched", "seed": seed,
        "epoch": epoch, "alpha": 1.2, "beta": 1.1, "gamma": 1.15, "depth_share": 0.2,
        "width_share": 0.4, "resolution_share": 0.4, "resolution": 32, "macs": 10, "params": 20,
        "activations": 30, "factor": 2.0, "asked_alpha": 1.2, "asked_beta": 1.1,
        "asked_gamma": 1.15, "deviation": 0.01, "train_loss": 1.0, "loss": 1.0,
        "accuracy": accuracy, "seconds": 1.0, "images_per_second": 1.0, "device": "cpu",
        "commit": "", "stopped": stopped,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """aa has all seeds, bb lost the race, cc was halved, dd and ee go on."""
    (tmp_path / "a").mkdir()
    asked = {"name": "x", "recipe": {"epochs": 3}, "search": {"seeds": 3}}
    write_experiment(tmp_path / "a" / "experiment.yaml", experiment_from_document(asked))
    lost, halved = "out of the race after 2 seeds", "halved at epoch 1: place 9 of 15"
    rows = [
        *(row("aa", seed, epoch, 0.2 * epoch) for seed in (0, 1, 2) for epoch in (1, 2, 3)),
        *(row("bb", seed, epoch, 0.19 * epoch, lost) for seed in (0, 1) for epoch in (1, 2, 3)),
        row("cc", 0, 1, 0.1, halved),
        row("dd", 0, 1, 0.2),
        *(row("ee", 0, epoch, 0.15 * epoch) for epoch in (1, 2)),
    ]
    write_records(tmp_path / "a" / "records.csv", records_frame(rows))
    return tmp_path / "a"


def test_every_candidate_has_a_row_with_its_state(folder):
    rows = [
        (now["candidate"], now["state"], now["reason"], now["epoch"], now["seeds"])
        for now in search_status(folder).rows
    ]
    assert rows == [
        ("aa", "done", "", 3, 3),
        ("bb", "stopped", "out of the race after 2 seeds", 3, 2),
        ("ee", "unfinished", "", 2, 1),
        ("dd", "unfinished", "", 1, 1),
        ("cc", "stopped", "halved at epoch 1: place 9 of 15", 1, 1),
    ]


def test_a_search_that_ends_before_its_recipe_is_complete_at_its_last_rung(folder):
    asked = {"name": "x", "recipe": {"epochs": 3}, "search": {"seeds": 3, "rungs": [1, 2]}}
    write_experiment(folder / "experiment.yaml", experiment_from_document(asked))
    rows = [row("aa", seed, epoch, 0.5) for seed in (0, 1, 2) for epoch in (1, 2)]
    write_records(folder / "records.csv", records_frame(rows))
    (now,) = search_status(folder).rows
    assert (now["state"], now["epoch"]) == ("done", 2)


def test_a_candidate_that_lacks_a_seed_is_unfinished(folder):
    records = records_frame([row("aa", 0, 3, 0.5), row("aa", 1, 3, 0.6)])
    write_records(folder / "records.csv", records)
    assert [(now["state"], now["accuracy"]) for now in search_status(folder).rows] == [
        ("unfinished", pytest.approx(0.55))
    ]


def test_a_failed_candidate_is_only_listed_as_a_failure(folder):
    failures = [{"candidate": "dd", "role": "searched", "kind": "diverged", "reason": "NaN"}]
    (folder / "failures.json").write_text(json.dumps(failures))
    now = search_status(folder)
    assert "dd" not in {row["candidate"] for row in now.rows}
    assert list(now.failures) == failures
    assert now.epochs == 19  # what it was trained for is on record


def test_before_the_first_record_there_is_nothing_to_show(folder):
    (folder / "records.csv").unlink()
    assert (search_status(folder).rows, search_status(folder).epochs) == ([], 0)


def test_jobs_of_a_running_driver_are_shown_with_heartbeats(folder):
    write_progress(folder / "progress.json", NOW)
    write_heartbeat(folder / "news", "node7:4711", JOB.job, 2, 0.5, 310.0, started_at=time.time())
    with lock_folder(folder):
        now = search_status(folder)
    assert now.driver.state == "running"
    (job,) = now.job_rows
    assert (job["worker"], job["epoch"], job["accuracy"]) == ("node7:4711", 2, 0.5)


def test_a_copied_folder_has_no_driver(folder, tmp_path):
    write_progress(folder / "progress.json", NOW)
    with lock_folder(folder):
        shutil.copytree(folder, tmp_path / "b")
        assert driver_status(tmp_path / "b").state == "interrupted"
        assert driver_status(folder).state == "running"


def test_reading_the_status_does_not_block_a_driver(folder):
    driver_status(folder)
    with lock_folder(folder):
        assert driver_status(folder).state == "running"
        with refused(SearchError), lock_folder(folder):
            pass


HOLD = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_after_a_killed_driver_status_says_how_to_resume(folder, run):
    write_progress(folder / "progress.json", NOW)
    command = [sys.executable, "-c", HOLD, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdout.readline() == b"held\n"
        assert driver_status(folder).state == "running"
        driver.kill()
    code, out, _ = run("status", folder)
    assert code == 0
    assert "no driver is running, and the search is not complete" in out
    assert f"resume with `scalesearch resume {folder}`" in out
    assert JOB.job not in out


@pytest.mark.parametrize(
    ("progress", "answered", "state"),
    [
        (NOW, False, "interrupted"),
        (Progress("x", 30, 30, finished=True), False, "ended"),
        (None, False, "interrupted"),
        (None, True, "ended"),
    ],
)
def test_without_a_driver_a_search_has_ended_or_was_interrupted(folder, progress, answered, state):
    if progress:
        write_progress(folder / "progress.json", progress)
    if answered:
        (folder / "coefficients.json").write_text("{}")
    assert driver_status(folder).state == state


def test_a_broken_progress_file_is_ignored(folder):
    (folder / "progress.json").write_text('{"name": "x", "epo')
    with lock_folder(folder):
        assert driver_status(folder).progress is None
        assert search_status(folder).epochs == 19


def test_the_json_document_is_complete(folder, run):
    write_progress(folder / "progress.json", NOW)
    with lock_folder(folder):
        code, out, err = run("status", folder, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert [one["candidate"] for one in document["results"]] == ["aa", "bb"]
    assert [one["candidate"] for one in document["others"]] == ["ee", "dd", "cc"]
    assert document["state"] == "running"
    assert document["progress"]["rungs"][1] == {"epoch": 3, "done": 2, "total": 3}


def test_the_table_has_reasons_if_there_are_any(folder, run):
    _, out, _ = run("status", folder)
    assert "reason" in out.split()
    assert "halved at epoch 1: place 9 of 15" in out
    assert "19 epochs on record, 19 s of training, 2 stopped, 0 failed" in out
    assert {now["factor"] for now in search_status(folder).rows} == {2.0}
    write_records(folder / "records.csv", records_frame([row("aa", 0, 3, 0.5)]))
    assert "reason" not in run("status", folder)[1].split()


@pytest.fixture
def looks(monkeypatch):
    """What happens at each of a watcher's pauses, in place of waiting."""

    def happen(*events):
        left = iter(events)
        monkeypatch.setattr(watching.time, "sleep", lambda _: next(left)())

    return happen


def test_watching_ends_when_the_search_does(folder, run, looks):
    lock = lock_folder(folder)
    lock.__enter__()

    def later(done):
        return lambda: write_progress(folder / "progress.json", Progress("x", done, 30))

    def last():
        write_progress(folder / "progress.json", Progress("x", 30, 30, finished=True))

    looks(later(1), later(2), last, lambda: lock.__exit__(None, None, None))
    code, out, err = run("status", folder, "--watch")
    assert code == 0
    assert err.splitlines()[:2] == [
        "a driver is running and has not reported progress yet",
        "1/30 epochs   0 stopped   0 failed",
    ]
    assert "30/30 epochs   ended" in err
    assert "30/30 epochs   ended" in out
    assert "aa" in out


def test_watching_a_killed_driver_exits_with_2_and_says_how_to_resume(folder, run, looks):
    write_progress(folder / "progress.json", NOW)
    lock = lock_folder(folder)
    lock.__enter__()
    looks(lambda: lock.__exit__(None, None, None))
    code, out, err = run("status", folder, "--watch")
    assert code == 2
    assert f"resume with `scalesearch resume {folder}`" in err
    assert "aa" in out


def test_ctrl_c_ends_watching_and_not_the_search(folder, run, looks):
    def interrupted():
        raise KeyboardInterrupt

    looks(interrupted)
    with lock_folder(folder):
        code, out, _ = run("status", folder, "--watch")
        assert (code, out) == (130, "")
        assert driver_status(folder).state == "running"


def test_watching_with_json_prints_one_document_at_the_end(folder, run, looks):
    write_progress(folder / "progress.json", NOW)
    lock = lock_folder(folder)
    lock.__enter__()
    looks(lambda: None, lambda: lock.__exit__(None, None, None))
    _, out, _ = run("status", folder, "--watch", "--json")
    assert json.loads(out)["state"] == "interrupted"


def test_a_driver_that_ends_between_two_readings_has_ended(folder, monkeypatch):
    """The lock is looked at before the progress."""
    write_progress(folder / "progress.json", NOW)
    lock = lock_folder(folder)
    lock.__enter__()

    def ends_first(path):
        write_progress(path, Progress("x", 30, 30, finished=True))
        lock.__exit__(None, None, None)
        return read_progress(path)

    monkeypatch.setattr("scalesearch.reporting.status.read_progress", ends_first)
    assert driver_status(folder).state == "running"
    monkeypatch.undo()
    assert driver_status(folder).state == "ended"


def test_a_folder_without_a_search_is_refused(tmp_path, run):
    assert run("status", tmp_path, "--watch")[0] == 2


def test_a_reader_of_the_status_is_not_a_driver(folder):
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as another who looks, at that moment
        assert driver_status(folder).state == "interrupted"
