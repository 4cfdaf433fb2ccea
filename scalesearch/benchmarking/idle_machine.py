"""Detection of other work on the machine, which would disturb measurements."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

PROC = Path("/proc")
SAMPLE_SECONDS = 0.5
"""Seconds for which the machine is watched."""

BUSY_FRACTION = 0.1
"""Fraction of all cores that other work may use."""

MAX_LISTED = 3
"""Processes named in a warning."""

DEFAULT_TICKS = 100
"""Ticks per second in /proc, unless Linux reports another number."""


@dataclass(frozen=True, slots=True)
class CpuSnapshot:
    """CPU use at one time, in seconds.

    Core-seconds used and available, by all processes and by this one, and by process id its name
    and its core-seconds.
    """

    time: float
    busy_seconds: float
    total_seconds: float
    own_seconds: float
    cores: int
    processes: dict[int, tuple[str, float]]


@dataclass(frozen=True, slots=True)
class OtherWork:
    """Cores used by others, of ``cores``. ``by``: processes and their parts."""

    cores_used: float
    cores: int
    processes: tuple[tuple[str, int, float], ...] = ()

    @property
    def is_disturbing(self) -> bool:
        """Whether the others use too many cores for a benchmark."""
        return self.cores_used > BUSY_FRACTION * self.cores

    def __str__(self) -> str:
        names = ", ".join(
            f"{name} ({pid}) {process_cores:.2f}"
            for name, pid, process_cores in self.processes[:MAX_LISTED]
        )
        processes_text = f": {names}" if names else ""
        return f"others use {self.cores_used:.1f} of {self.cores} cores{processes_text}"


def cpu_snapshot(proc: Path = PROC) -> CpuSnapshot | None:
    """CPU use until now; None on a system without Linux's /proc."""
    try:
        lines = (proc / "stat").read_text().splitlines()
        columns = [float(value) / _ticks_per_second() for value in lines[0].split()[1:9]]
        processes = dict(_read_processes(proc))
    except (OSError, ValueError, IndexError):
        return None
    idle = columns[3] + columns[4]  # idle, and waiting for a disk
    cores = sum(line[:3] == "cpu" and line[3:4].isdigit() for line in lines)
    total = sum(columns)
    return CpuSnapshot(
        time.monotonic(), total - idle, total, time.process_time(), max(cores, 1), processes
    )


def other_work(before: CpuSnapshot | None, after: CpuSnapshot | None) -> OtherWork | None:
    """Other work between two snapshots; None if unknown."""
    if before is None or after is None or after.total_seconds <= before.total_seconds:
        return None
    cores = after.cores
    seconds = (after.total_seconds - before.total_seconds) / cores
    cores_used = (
        max(
            0.0,
            (after.busy_seconds - before.busy_seconds) - (after.own_seconds - before.own_seconds),
        )
        / seconds
    )
    processes = [
        (name, pid, (worked_seconds - before.processes.get(pid, ("", 0.0))[1]) / seconds)
        for pid, (name, worked_seconds) in after.processes.items()
        if pid != os.getpid()
    ]
    processes.sort(key=lambda process: -process[2])
    return OtherWork(
        cores_used, cores, tuple(process for process in processes if process[2] >= 0.05)
    )


def find_disturbances(device: torch.device, seconds: float = SAMPLE_SECONDS) -> tuple[str, ...]:
    """Sentences about other work of the machine; none if it is idle or cannot tell."""
    snapshot_before = cpu_snapshot()
    time.sleep(seconds)
    others = other_work(snapshot_before, cpu_snapshot())
    texts = [str(others)] if others is not None and others.is_disturbing else []
    if others is None:
        texts += _load_disturbances()
    if device.type == "cuda":
        texts += _query_gpu_disturbances(device)
    return tuple(texts)


def gpu_disturbances(table: str, processes: str, uuid: str, own_pid: int) -> list[str]:
    """Sentences from two tables of nvidia-smi.

    The tables are ``uuid, utilization.gpu`` and ``gpu_uuid, pid, name``.
    """
    texts = []
    for name, utilization, *_ in _csv_rows(table):
        if (
            name.removeprefix("GPU-") == uuid
            and utilization.isdigit()
            and int(utilization) > 100 * BUSY_FRACTION
        ):
            texts.append(f"the GPU is {utilization}% busy")
    other_processes = [
        f"{Path(name).name} ({pid})"
        for gpu, pid, name, *_ in _csv_rows(processes)
        if gpu.removeprefix("GPU-") == uuid and pid != str(own_pid)
    ]
    if other_processes:
        texts.append(f"others are on the GPU: {', '.join(other_processes)}")
    return texts


def _read_processes(proc: Path) -> Iterator[tuple[int, tuple[str, float]]]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it may have ended
                before_name_end, _, after_name = (folder / "stat").read_text().rpartition(")")
                fields = after_name.split()
                worked_seconds = (
                    int(fields[11]) + int(fields[12])
                ) / _ticks_per_second()  # nvidia-smi's code for unknown
                yield int(folder.name), (before_name_end.partition("(")[2], worked_seconds)


def _ticks_per_second() -> float:
    try:
        return float(os.sysconf("SC_CLK_TCK"))
    except (AttributeError, ValueError, OSError):
        return DEFAULT_TICKS


def _load_disturbances() -> list[str]:
    """Load of the last minute, including this process; a rough substitute."""
    cores = os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return []
    if load <= BUSY_FRACTION * cores:
        return []
    return [f"the load average of the last minute is {load:.1f}, of {cores} cores"]


def _query_gpu_disturbances(device: torch.device) -> list[str]:
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    table = _query_nvidia_smi("--query-gpu=uuid,utilization.gpu")
    processes = _query_nvidia_smi("--query-compute-apps=gpu_uuid,pid,process_name")
    if table is None or processes is None:
        return ["nvidia-smi does not tell whether others use the GPU"]
    return gpu_disturbances(table, processes, uuid, os.getpid())


def _query_nvidia_smi(query: str) -> str | None:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _csv_rows(table: str) -> Iterator[Sequence[str]]:
    for line in table.splitlines():
        if line.strip():
            yield [value.strip() for value in line.split(",")]
