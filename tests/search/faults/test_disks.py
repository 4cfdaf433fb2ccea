"""Disks that are full, and files that a crash has torn."""

import os
import subprocess
from pathlib import Path

import pytest
from fault_checks import require_whole
from fault_stage import FINISHED, KILLED, REFUSED, document

pytestmark = pytest.mark.slow
ASKED = document("lattice")


def told(results):
    return Path(f"{results}.log").read_text()


@pytest.mark.parametrize("limit", [1_000, 60_000, 180_000])
def test_a_full_disk_is_reported_and_no_epoch_is_lost(stage, undisturbed, tmp_path, limit):
    results = tmp_path / "r"
    assert stage.live(results=results, document=ASKED, limit=limit) == REFUSED, told(results)
    assert "refused: " in told(results)
    assert "cannot be" in told(results)
    assert "Traceback" not in told(results)
    assert stage.live(results=results, document=ASKED) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    size = ["-o", "size=400k"]
    mount = ["mount", "-t", "tmpfs", *size, "tmpfs", disk]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_real_full_disk_is_reported_and_no_epoch_is_lost(
    stage, undisturbed, small_disk, tmp_path
):
    results, log = small_disk / "r", tmp_path / "r.log"
    status = stage.live(results=results, document=ASKED, log=str(log))
    assert status == REFUSED, log.read_text()
    assert "cannot be" in log.read_text()
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    assert stage.live(results=results, document=ASKED) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))


@pytest.mark.parametrize("point", ["log", "records"])
def test_a_results_file_that_cannot_be_written_stops_the_search(
    stage, undisturbed, tmp_path, point
):
    results = tmp_path / "r"
    asked = {"results": results, "document": ASKED}
    assert stage.live(**asked, kill=(point, "full", 1)) == REFUSED, told(results)
    assert "No space left on device; make room and run the same command again" in told(results)
    assert stage.live(**asked) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))


def test_a_progress_file_that_cannot_be_written_stops_no_search(stage, undisturbed, tmp_path):
    results = tmp_path / "r"
    life = {"results": results, "document": ASKED, "kill": ("progress", "full", 1)}
    assert stage.live(**life) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))


TORN = ["records.csv", "progress.json", "jobs.csv", "failures.json", "news/a.json", ".lock.partial"]


def test_torn_files_are_written_again(stage, undisturbed, tmp_path):
    results = tmp_path / "r"
    asked = {"results": results, "document": ASKED}
    assert stage.live(**asked, kill=("record", "after", 30)) == KILLED, told(results)
    for name in TORN:
        path = results / name
        path.parent.mkdir(exist_ok=True)
        content = path.read_bytes() if path.exists() else b'{"job": 1'
        path.write_bytes(content[: len(content) // 2])
    assert stage.live(**asked) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))
    lines = (results / "jobs.csv").read_text().splitlines()
    assert sum(line.count(",") != lines[0].count(",") for line in lines) <= 1


def test_a_half_made_folder_is_used_again(stage, undisturbed, tmp_path):
    results = tmp_path / "r"
    (results / "checkpoints").mkdir(parents=True)
    (results / ".experiment.yaml.partial").write_text("name: fau")
    (results / "environment.json").write_text('{"data": {"fing')
    assert stage.live(results=results, document=ASKED) == FINISHED, told(results)
    require_whole(results, undisturbed(ASKED))
