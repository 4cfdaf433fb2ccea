"""Workers and drivers that die, and drivers that meet, on real worker processes."""

import os
import signal
import time
from pathlib import Path

import pytest
from fault_checks import require_whole
from fault_stage import FINISHED, KILLED, REFUSED, document
from fault_trainer import trained

pytestmark = pytest.mark.slow
LOCAL = {"executor": "local", "workers": 2}


def log(results):
    return Path(f"{results}.log").read_text()


def wait_for(condition, process):
    until = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def test_killed_workers_lose_no_epoch(stage, undisturbed, tmp_path):
    results, asked = tmp_path / "r", document("lattice")
    deadly = {"DEADLY": "0.05"}
    told = stage.live(results=results, document=asked, environment=deadly, **LOCAL)
    assert told == FINISHED, log(results)
    assert len(list((results / "died").iterdir())) >= 3
    require_whole(results, undisturbed(asked))


@pytest.mark.parametrize(("point", "crossing"), [("record", 9), ("submit", 8)])
def test_a_killed_driver_loses_no_epoch_of_its_workers(
    stage, undisturbed, tmp_path, point, crossing
):
    """Its workers are left amid their epochs, and the next driver begins at once."""
    results, asked = tmp_path / "r", document("lattice")
    slow = {"EPOCH_SECONDS": "0.05"}
    for when in ("before", "after"):
        kill = (point, when, crossing)
        life = {"results": results, "document": asked, "environment": slow}
        assert stage.live(**life, kill=kill, **LOCAL) == KILLED, log(results)
    assert stage.live(results=results, document=asked, **LOCAL) == FINISHED, log(results)
    require_whole(results, undisturbed(asked))


def test_a_folder_has_one_driver_until_it_dies(stage, undisturbed, tmp_path):
    results, asked = tmp_path / "r", document("lattice")
    slow = {"EPOCH_SECONDS": "1"}  # it is still at work when the others come
    first = stage.begin(results=results, document=asked, environment=slow)
    wait_for(lambda: sum(trained(results).values()) >= 2, first)
    assert stage.live(results=results, document=asked) == REFUSED
    assert "another search is running in this folder" in log(results)
    os.kill(first, signal.SIGKILL)
    assert stage.end(first) == KILLED
    assert stage.live(results=results, document=asked) == FINISHED, log(results)
    require_whole(results, undisturbed(asked))
