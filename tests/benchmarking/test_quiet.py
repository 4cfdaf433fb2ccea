"""What other work is seen: in a /proc of the test's own, and in nvidia-smi's words."""

import os

import pytest
import torch

from scalesearch.benchmarking import idle_machine as quiet
from scalesearch.benchmarking.idle_machine import (
    cpu_snapshot,
    find_disturbances,
    gpu_disturbances,
    other_work,
)

TICKS = os.sysconf("SC_CLK_TCK")


def proc(folder, busy, idle, worked):
    """A machine of two cores: seconds of work, of nothing, and of work by process 7."""
    folder.mkdir(exist_ok=True)
    ticks = [round(seconds * TICKS) for seconds in (busy, 0, 0, idle, 0, 0, 0, 0)]
    line = " ".join(map(str, ticks))
    (folder / "stat").write_text(f"cpu  {line} 0 0\ncpu0 {line}\ncpu1 {line}\nintr 5\n")
    (folder / "7").mkdir(exist_ok=True)
    numbers = ["S", *["0"] * 10, str(round(worked * TICKS)), "0", "0"]
    (folder / "7" / "stat").write_text(f"7 (a (b) c) {' '.join(numbers)}\n")
    return folder


def between(tmp_path, busy, worked, own=0.0, monkeypatch=None):
    times = iter([1.0, 1.0 + own])
    monkeypatch.setattr(quiet.time, "process_time", lambda: next(times))
    before = cpu_snapshot(proc(tmp_path / "proc", 100, 100, 50))
    after = cpu_snapshot(proc(tmp_path / "proc", 100 + busy, 100 + 20 - busy, 50 + worked))
    return other_work(before, after)


def test_the_work_of_others_is_told_in_cores_with_who_does_it(tmp_path, monkeypatch):
    work = between(tmp_path, 15, 10, monkeypatch=monkeypatch)  # of 10 seconds on two cores
    assert (round(work.cores_used, 6), work.cores) == (1.5, 2)
    assert work.is_disturbing
    assert str(work) == "others use 1.5 of 2 cores: a (b) c (7) 1.00"


def test_ones_own_work_is_no_disturbance(tmp_path, monkeypatch):
    assert not between(tmp_path, 10.5, 0, own=10, monkeypatch=monkeypatch).is_disturbing
    assert between(tmp_path, 15, 0, own=10, monkeypatch=monkeypatch).is_disturbing


def test_a_machine_without_proc_is_asked_for_its_load(tmp_path, monkeypatch):
    monkeypatch.setattr(quiet, "cpu_snapshot", lambda: None)
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(quiet.os, "getloadavg", lambda: (0.3, 0, 0))
    assert cpu_snapshot(tmp_path) is None
    assert find_disturbances(torch.device("cpu"), 0) == ()
    monkeypatch.setattr(quiet.os, "getloadavg", lambda: (2.0, 0, 0))
    assert find_disturbances(torch.device("cpu"), 0) == (
        "the load average of the last minute is 2.0, of 4 cores",
    )


UUID = "8c7a-11"
TABLE = "GPU-8c7a-11, 3\nGPU-ffff-22, 99\n"
APPS = "GPU-8c7a-11, 41, /usr/bin/python3\nGPU-ffff-22, 42, other\n"


def test_a_gpu_is_quiet_where_only_other_gpus_work_and_only_we_are_on_it():
    assert gpu_disturbances(TABLE, APPS, UUID, own_pid=41) == []
    assert gpu_disturbances(TABLE, "", UUID, own_pid=1) == []


def test_work_and_processes_on_the_same_gpu_are_told():
    assert gpu_disturbances(TABLE.replace(" 3", " 60"), APPS, UUID, own_pid=5) == [
        "the GPU is 60% busy",
        "others are on the GPU: python3 (41)",
    ]


def test_a_gpu_that_does_not_tell_is_said_to_be_unknown(monkeypatch):
    class Properties:
        uuid = UUID

    monkeypatch.setattr(quiet.torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(quiet, "_query_nvidia_smi", lambda query: None)
    monkeypatch.setattr(quiet, "cpu_snapshot", lambda: None)
    monkeypatch.setattr(quiet, "_load_disturbances", list)
    assert find_disturbances(torch.device("cuda"), 0) == (
        "nvidia-smi does not tell whether others use the GPU",
    )


@pytest.mark.gpu
def test_nvidia_smi_knows_the_gpu_that_torch_sees():
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    table = quiet._query_nvidia_smi("--query-gpu=uuid,utilization.gpu")
    if table is None:
        pytest.skip("needs nvidia-smi")
    assert uuid in table
