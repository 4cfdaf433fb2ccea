"""Work of other processes, found in a fake /proc and in the output of nvidia-smi."""

import os

import pytest
import torch

from scalesearch.benchmarking import idle_machine
from scalesearch.benchmarking.idle_machine import (
    cpu_snapshot,
    find_disturbances,
    gpu_disturbances,
    other_work,
)

TICKS = os.sysconf("SC_CLK_TCK")


def write_proc(folder, busy_seconds, idle_seconds, process_seconds):
    """Write the /proc of a machine with two cores and one process, number 7."""
    folder.mkdir(exist_ok=True)
    ticks = [round(seconds * TICKS) for seconds in (busy_seconds, 0, 0, idle_seconds, 0, 0, 0, 0)]
    line = " ".join(map(str, ticks))
    (folder / "stat").write_text(f"cpu  {line} 0 0\ncpu0 {line}\ncpu1 {line}\nintr 5\n")
    (folder / "7").mkdir(exist_ok=True)
    numbers = ["S", *["0"] * 10, str(round(process_seconds * TICKS)), "0", "0"]
    (folder / "7" / "stat").write_text(f"7 (a (b) c) {' '.join(numbers)}\n")
    return folder


def work_between(tmp_path, busy_seconds, process_seconds, own_seconds=0.0, monkeypatch=None):
    times = iter([1.0, 1.0 + own_seconds])
    monkeypatch.setattr(idle_machine.time, "process_time", lambda: next(times))
    before = cpu_snapshot(write_proc(tmp_path / "proc", 100, 100, 50))
    after = cpu_snapshot(
        write_proc(
            tmp_path / "proc", 100 + busy_seconds, 100 + 20 - busy_seconds, 50 + process_seconds
        )
    )
    return other_work(before, after)


def test_work_of_others_is_given_in_cores_with_process_names(tmp_path, monkeypatch):
    work = work_between(tmp_path, 15, 10, monkeypatch=monkeypatch)  # of 10 seconds on two cores
    assert (round(work.cores_used, 6), work.cores) == (1.5, 2)
    assert work.is_disturbing
    assert str(work) == "others use 1.5 of 2 cores: a (b) c (7) 1.00"


def test_work_of_this_process_is_no_disturbance(tmp_path, monkeypatch):
    assert not work_between(
        tmp_path, 10.5, 0, own_seconds=10, monkeypatch=monkeypatch
    ).is_disturbing
    assert work_between(tmp_path, 15, 0, own_seconds=10, monkeypatch=monkeypatch).is_disturbing


def test_the_load_average_is_used_without_proc(tmp_path, monkeypatch):
    monkeypatch.setattr(idle_machine, "cpu_snapshot", lambda: None)
    monkeypatch.setattr(idle_machine.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(idle_machine.os, "getloadavg", lambda: (0.3, 0, 0))
    assert cpu_snapshot(tmp_path) is None
    assert find_disturbances(torch.device("cpu"), 0) == ()
    monkeypatch.setattr(idle_machine.os, "getloadavg", lambda: (2.0, 0, 0))
    assert find_disturbances(torch.device("cpu"), 0) == (
        "the load average of the last minute is 2.0, of 4 cores",
    )


UUID = "8c7a-11"
USAGE_TABLE = "GPU-8c7a-11, 3\nGPU-ffff-22, 99\n"
PROCESS_TABLE = "GPU-8c7a-11, 41, /usr/bin/python3\nGPU-ffff-22, 42, other\n"


def test_a_gpu_used_only_by_this_process_is_idle():
    assert gpu_disturbances(USAGE_TABLE, PROCESS_TABLE, UUID, own_pid=41) == []
    assert gpu_disturbances(USAGE_TABLE, "", UUID, own_pid=1) == []


def test_work_and_processes_on_the_same_gpu_are_listed():
    assert gpu_disturbances(USAGE_TABLE.replace(" 3", " 60"), PROCESS_TABLE, UUID, own_pid=5) == [
        "the GPU is 60% busy",
        "others are on the GPU: python3 (41)",
    ]


def test_a_gpu_without_usage_data_is_reported_as_unknown(monkeypatch):
    class Properties:
        uuid = UUID

    monkeypatch.setattr(idle_machine.torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(idle_machine, "_query_nvidia_smi", lambda query: None)
    monkeypatch.setattr(idle_machine, "cpu_snapshot", lambda: None)
    monkeypatch.setattr(idle_machine, "_load_disturbances", list)
    assert find_disturbances(torch.device("cuda"), 0) == (
        "nvidia-smi does not tell whether others use the GPU",
    )


@pytest.mark.gpu
def test_nvidia_smi_lists_the_gpu_of_torch():
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    table = idle_machine._query_nvidia_smi("--query-gpu=uuid,utilization.gpu")
    if table is None:
        pytest.skip("needs nvidia-smi")
    assert uuid in table
