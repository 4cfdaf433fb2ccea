"""Searches on full disks and with damaged files."""

import os
import subprocess
from pathlib import Path

import pytest
from fault_checks import require_complete
from fault_driver import FINISHED, KILLED, REFUSED, document

pytestmark = pytest.mark.slow
DOCUMENT = document("lattice")


def read_log(results_folder):
    return Path(f"{results_folder}.log").read_text()


@pytest.mark.parametrize("limit", [1_000, 60_000, 180_000])
def test_a_full_disk_is_reported_and_no_epoch_is_lost(driver_runner, undisturbed, tmp_path, limit):
    results_folder = tmp_path / "r"
    assert (
        driver_runner.run_driver(results_folder=results_folder, document=DOCUMENT, limit=limit)
        == REFUSED
    ), read_log(results_folder)
    assert "refused: " in read_log(results_folder)
    assert "cannot be" in read_log(results_folder)
    assert "Traceback" not in read_log(results_folder)
    assert driver_runner.run_driver(results_folder=results_folder, document=DOCUMENT) == FINISHED, (
        read_log(results_folder)
    )
    require_complete(results_folder, undisturbed(DOCUMENT))


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
    driver_runner, undisturbed, small_disk, tmp_path
):
    results_folder, log = small_disk / "r", tmp_path / "r.log"
    status = driver_runner.run_driver(
        results_folder=results_folder, document=DOCUMENT, log=str(log)
    )
    assert status == REFUSED, log.read_text()
    assert "cannot be" in log.read_text()
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    assert driver_runner.run_driver(results_folder=results_folder, document=DOCUMENT) == FINISHED, (
        read_log(results_folder)
    )
    require_complete(results_folder, undisturbed(DOCUMENT))


@pytest.mark.parametrize("point", ["log", "records"])
def test_a_results_file_that_cannot_be_written_stops_the_search(
    driver_runner, undisturbed, tmp_path, point
):
    results_folder = tmp_path / "r"
    options = {"results_folder": results_folder, "document": DOCUMENT}
    assert driver_runner.run_driver(**options, kill=(point, "full", 1)) == REFUSED, read_log(
        results_folder
    )
    assert "No space left on device; make room and run the same command again" in read_log(
        results_folder
    )
    assert driver_runner.run_driver(**options) == FINISHED, read_log(results_folder)
    require_complete(results_folder, undisturbed(DOCUMENT))


def test_a_progress_file_that_cannot_be_written_stops_no_search(
    driver_runner, undisturbed, tmp_path
):
    results_folder = tmp_path / "r"
    options = {
        "results_folder": results_folder,
        "document": DOCUMENT,
        "kill": ("progress", "full", 1),
    }
    assert driver_runner.run_driver(**options) == FINISHED, read_log(results_folder)
    require_complete(results_folder, undisturbed(DOCUMENT))


TORN_FILES = [
    "records.csv",
    "progress.json",
    "jobs.csv",
    "failures.json",
    "news/a.json",
    ".lock.partial",
]


def test_torn_files_are_written_again(driver_runner, undisturbed, tmp_path):
    results_folder = tmp_path / "r"
    options = {"results_folder": results_folder, "document": DOCUMENT}
    assert driver_runner.run_driver(**options, kill=("record", "after", 30)) == KILLED, read_log(
        results_folder
    )
    for name in TORN_FILES:
        path = results_folder / name
        path.parent.mkdir(exist_ok=True)
        content = path.read_bytes() if path.exists() else b'{"job": 1'
        path.write_bytes(content[: len(content) // 2])
    assert driver_runner.run_driver(**options) == FINISHED, read_log(results_folder)
    require_complete(results_folder, undisturbed(DOCUMENT))
    lines = (results_folder / "jobs.csv").read_text().splitlines()
    assert sum(line.count(",") != lines[0].count(",") for line in lines) <= 1


def test_a_half_made_folder_is_used_again(driver_runner, undisturbed, tmp_path):
    results_folder = tmp_path / "r"
    (results_folder / "checkpoints").mkdir(parents=True)
    (results_folder / ".experiment.yaml.partial").write_text("name: fau")
    (results_folder / "environment.json").write_text('{"data": {"fing')
    assert driver_runner.run_driver(results_folder=results_folder, document=DOCUMENT) == FINISHED, (
        read_log(results_folder)
    )
    require_complete(results_folder, undisturbed(DOCUMENT))
