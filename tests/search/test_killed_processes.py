"""Drivers and workers killed by SIGKILL lose no epoch and train none twice."""

import os
import signal
import time
from pathlib import Path

import pytest
from fault_checks import kill_until_finished, require_complete
from fault_driver import FINISHED, KILLED, REFUSED, document
from fault_trainer import count_trained_epochs

pytestmark = pytest.mark.slow
FIRST_CALLS = {
    "claim": 1,
    "enter": 2,
    "submit": 5,
    "epoch": 9,
    "outcome": 7,
    "record": 6,
    "report": 7,
    "complete": 1,
    "stopped": 1,
    "forget": 2,
    "log": 8,
    "records": 1,
    "progress": 5,
    "attribute": 9,
    "state": 2,
}
"""Number of the call at which a driver is first killed, by function: some calls after its start."""

LOCAL = {"executor": "local", "workers": 2}


def read_log(results_folder):
    return Path(f"{results_folder}.log").read_text()


def wait_for(condition, process):
    until = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def test_killed_workers_lose_no_epoch(driver_runner, undisturbed, tmp_path):
    results_folder, experiment = tmp_path / "r", document("lattice")
    deadly = {"DEADLY": "0.05"}
    status = driver_runner.run_driver(
        results_folder=results_folder, document=experiment, environment=deadly, **LOCAL
    )
    assert status == FINISHED, read_log(results_folder)
    assert len(list((results_folder / "died").iterdir())) >= 3
    require_complete(results_folder, undisturbed(experiment))


@pytest.mark.parametrize(("point", "call_number"), [("record", 9), ("submit", 8)])
def test_a_killed_driver_loses_no_epoch_of_its_workers(
    driver_runner, undisturbed, tmp_path, point, call_number
):
    """Its workers continue their epochs while the next driver already starts."""
    results_folder, experiment = tmp_path / "r", document("lattice")
    slow = {"EPOCH_SECONDS": "0.05"}
    for moment in ("before", "after"):
        kill = (point, moment, call_number)
        options = {"results_folder": results_folder, "document": experiment, "environment": slow}
        assert driver_runner.run_driver(**options, kill=kill, **LOCAL) == KILLED, read_log(
            results_folder
        )
    assert (
        driver_runner.run_driver(results_folder=results_folder, document=experiment, **LOCAL)
        == FINISHED
    ), read_log(results_folder)
    require_complete(results_folder, undisturbed(experiment))


def test_a_folder_has_one_driver_until_it_dies(driver_runner, undisturbed, tmp_path):
    results_folder, experiment = tmp_path / "r", document("lattice")
    slow = {"EPOCH_SECONDS": "1"}  # it is still at work when the others come
    first = driver_runner.start(
        results_folder=results_folder, document=experiment, environment=slow
    )
    wait_for(lambda: sum(count_trained_epochs(results_folder).values()) >= 2, first)
    assert driver_runner.run_driver(results_folder=results_folder, document=experiment) == REFUSED
    assert "another search is running in this folder" in read_log(results_folder)
    os.kill(first, signal.SIGKILL)
    assert driver_runner.wait(first) == KILLED
    assert (
        driver_runner.run_driver(results_folder=results_folder, document=experiment) == FINISHED
    ), read_log(results_folder)
    require_complete(results_folder, undisturbed(experiment))


@pytest.mark.parametrize("point", FIRST_CALLS)
def test_a_driver_killed_at_a_transition_skips_and_repeats_nothing(
    driver_runner, undisturbed, tmp_path, point
):
    experiment = document("lattice")
    kills = kill_until_finished(
        driver_runner, tmp_path / "r", experiment, point, FIRST_CALLS[point]
    )
    assert kills >= 1
    require_complete(tmp_path / "r", undisturbed(experiment))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("point", ["ask", "enter", "record"])
def test_a_sampler_proposes_the_same_after_a_kill(
    driver_runner, undisturbed, tmp_path, sampler, point
):
    experiment = document(sampler)
    kills = kill_until_finished(driver_runner, tmp_path / "r", experiment, point, 3)
    assert kills >= 2
    require_complete(tmp_path / "r", undisturbed(experiment))
