"""News reach their reader whole or not at all, and harm nobody."""

import json
import threading
import time

import pytest

from scalesearch.search import heartbeats as newspaper
from scalesearch.search.heartbeats import (
    Heartbeat,
    current_progress,
    jobs_with_heartbeats,
    open_heartbeat,
    read_heartbeats,
    remove_heartbeat,
    remove_heartbeats,
    write_heartbeat,
)
from scalesearch.search.progress import JobProgress, Progress

WORKERS = ("node7:4711", "tcp://10.0.0.3:40123", "../../etc/passwd", ".", "a b%2Fc", "gpü", "")


def test_a_heartbeat_is_read_as_it_was_written(tmp_path):
    write_heartbeat(
        tmp_path, "w", "aa seed 0 epochs 1-3", 2, 0.5, 310.0, started_at=time.time() - 60
    )
    (heartbeat,) = read_heartbeats(tmp_path)
    assert 60 <= heartbeat.seconds < 3600
    assert heartbeat == JobProgress("aa seed 0 epochs 1-3", "w", heartbeat.seconds, 2, 0.5, 310.0)


@pytest.mark.parametrize("worker", [*WORKERS, "w" * 5000, "ü" * 300])
def test_every_worker_name_gives_a_file_in_the_folder(tmp_path, worker):
    folder = tmp_path / "news"
    write_heartbeat(folder, worker, "job", started_at=time.time())
    assert [heartbeat.worker for heartbeat in read_heartbeats(folder)] == [worker]
    assert [path.parent for path in tmp_path.rglob("*.json")] == [folder]
    remove_heartbeat(folder, worker)
    assert not list(folder.iterdir())


def test_every_worker_has_a_file_of_its_own(tmp_path):
    names = [*WORKERS, "w" * 5000, "w" * 5001, "a b/c"]
    for name in names:
        write_heartbeat(tmp_path, name, f"job of {name}", started_at=0.0)
    heartbeats = read_heartbeats(tmp_path)
    assert [heartbeat.worker for heartbeat in heartbeats] == sorted(names)
    assert all(heartbeat.job == f"job of {heartbeat.worker}" for heartbeat in heartbeats)


def test_a_new_heartbeat_replaces_the_last_one(tmp_path):
    for epoch in (1, 2, 3):
        write_heartbeat(tmp_path, "w", "job", epoch, started_at=time.time())
    assert [heartbeat.epoch for heartbeat in read_heartbeats(tmp_path)] == [3]


@pytest.mark.parametrize(
    "torn", ["", '{"worker": "w", "jo', "[]", "3", "null", '{"worker": "w"}', "\udcff"]
)
def test_torn_heartbeats_are_ignored(tmp_path, torn):
    write_heartbeat(tmp_path, "whole", "job", started_at=0.0)
    (tmp_path / "torn.json").write_text(torn, errors="surrogateescape")
    (tmp_path / "other.txt").write_text("a file of somebody else")
    (tmp_path / "folder.json").mkdir()
    assert [heartbeat.worker for heartbeat in read_heartbeats(tmp_path)] == ["whole"]


def test_heartbeats_of_another_version_are_ignored(tmp_path):
    write_heartbeat(tmp_path, "w", "job", started_at=0.0)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "good"}))
    assert read_heartbeats(tmp_path) == []


def test_heartbeats_older_than_a_day_are_ignored(tmp_path):
    write_heartbeat(tmp_path, "w", "job", started_at=time.time())
    assert read_heartbeats(tmp_path, now=time.time() + newspaper.MAX_AGE_SECONDS - 60)
    assert not read_heartbeats(tmp_path, now=time.time() + newspaper.MAX_AGE_SECONDS + 1)


def test_a_worker_whose_clock_is_ahead_has_no_negative_seconds(tmp_path):
    write_heartbeat(tmp_path, "w", "job", started_at=time.time() + 3600)
    assert [heartbeat.seconds for heartbeat in read_heartbeats(tmp_path)] == [0.0]


def test_a_missing_folder_has_no_heartbeats(tmp_path):
    assert read_heartbeats(tmp_path / "nowhere") == []
    remove_heartbeat(tmp_path / "nowhere", "w")
    remove_heartbeats(tmp_path / "nowhere")


def test_a_heartbeat_that_cannot_be_written_stops_no_job(tmp_path):
    (tmp_path / "news").write_text("a file where the folder should be")
    with open_heartbeat(tmp_path / "news", "w", "job") as reel:
        reel.report_epoch(1, 0.5, 100.0)
    assert read_heartbeats(tmp_path / "news") == []


def test_a_job_without_a_folder_writes_no_heartbeat():
    with open_heartbeat(None, "w", "job") as reel:
        reel.report_epoch(1, 0.5, 100.0)
        reel.report_images(1, 2)


def test_a_job_has_a_heartbeat_until_it_ends_or_fails(tmp_path):
    def train():
        with open_heartbeat(tmp_path, "w", "job") as reel:
            assert [
                (heartbeat.job, heartbeat.epoch) for heartbeat in read_heartbeats(tmp_path)
            ] == [("job", None)]
            reel.report_epoch(4, 0.25, 99.0)
            assert [
                (heartbeat.epoch, heartbeat.accuracy) for heartbeat in read_heartbeats(tmp_path)
            ] == [(4, 0.25)]
            raise KeyError

    with pytest.raises(KeyError):
        train()
    assert not list(tmp_path.iterdir())


def test_loading_images_is_reported_once_a_second_until_it_is_done(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(newspaper.time, "monotonic", lambda: clock[0])
    doing = []
    reel = Heartbeat(tmp_path, "w", "job")
    for images_loaded in range(101):
        reel.report_images(images_loaded, 100)
        doing += [heartbeats.doing for heartbeats in read_heartbeats(tmp_path)]
        clock[0] += 0.25
    assert list(dict.fromkeys(doing[:-1])) == [f"getting images {n}%" for n in range(4, 100, 4)]
    assert doing[-1] == ""


def test_images_that_load_at_once_are_not_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(newspaper.time, "monotonic", lambda: 100.0)
    reel = Heartbeat(tmp_path, "w", "job")
    for images_loaded in range(101):
        reel.report_images(images_loaded, 100)
    assert read_heartbeats(tmp_path) == []


def test_a_new_driver_removes_old_heartbeats(tmp_path):
    for worker in WORKERS:
        write_heartbeat(tmp_path, worker, "job", started_at=0.0)
    (tmp_path / ".w.json.partial").write_text("{")
    (tmp_path / "notes.txt").write_text("somebody else's")
    remove_heartbeats(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_running_jobs_take_epoch_and_speed_from_heartbeats(tmp_path):
    now = time.time()
    write_heartbeat(tmp_path, "w1", "one", 2, 0.5, 310.0, started_at=now - 30)
    write_heartbeat(tmp_path, "w2", "given up long ago", 7, 0.9, 1.0, started_at=now - 900)
    waiting = JobProgress("waits", "", 50.0)
    first, second = jobs_with_heartbeats([JobProgress("one", "", 50.0), waiting], tmp_path, now)
    assert first == JobProgress("one", "w1", pytest.approx(30.0), 2, 0.5, 310.0)
    assert second == waiting


def test_an_inline_driver_takes_its_job_from_the_heartbeat(tmp_path):
    write_heartbeat(tmp_path, "w1", "one", 2, 0.5, 310.0, started_at=time.time() - 30)
    progress = current_progress(Progress("x", 3, 9, images_per_second=7.0), tmp_path)
    assert [(job.job, job.epoch) for job in progress.running] == [("one", 2)]
    assert progress.images_per_second == 310.0
    over = Progress("x", 9, 9, finished=True)
    assert current_progress(over, tmp_path) == over


def test_the_speed_of_a_search_is_that_of_its_workers_heartbeats(tmp_path):
    jobs = (JobProgress("one", "", 5.0), JobProgress("two", "", 5.0), JobProgress("three", "", 5.0))
    driver = Progress("x", 3, 9, running=jobs, images_per_second=7.0)
    assert current_progress(driver, tmp_path).images_per_second == 7.0
    for worker, job in (("w1", "one"), ("w2", "two")):
        write_heartbeat(tmp_path, worker, job, 2, 0.5, 300.0, started_at=time.time())
    assert current_progress(driver, tmp_path).images_per_second == 600.0
    assert current_progress(driver, None) == driver


def test_a_job_did_not_start_before_it_was_submitted(tmp_path):
    write_heartbeat(tmp_path, "its clock is behind", "one", started_at=time.time() - 3600)
    (job,) = jobs_with_heartbeats([JobProgress("one", "", 50.0)], tmp_path)
    assert job.seconds == 50.0


def test_the_latest_of_two_heartbeats_of_one_job_counts(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(newspaper.time, "time", lambda: clock[0])
    for worker in ("z was lost", "a took over"):
        write_heartbeat(tmp_path, worker, "one", started_at=clock[0])
        clock[0] += 60
    assert [
        job.worker for job in jobs_with_heartbeats([JobProgress("one", "", 50.0)], tmp_path)
    ] == ["a took over"]


def test_a_reader_never_sees_half_a_heartbeat(tmp_path):
    """A writer and a reader at once; every reading finds the worker."""
    write_heartbeat(tmp_path, "w", "job", 0, started_at=time.time())
    stop_event, errors = threading.Event(), []

    def write():
        while not stop_event.is_set():
            errors.append(len(errors))
            write_heartbeat(tmp_path, "w", "job" * 1000, errors[-1], started_at=time.time())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert len(read_heartbeats(tmp_path)) == 1
        while len(errors) < 300:
            assert len(read_heartbeats(tmp_path)) == 1
    finally:
        stop_event.set()
        writer.join()
