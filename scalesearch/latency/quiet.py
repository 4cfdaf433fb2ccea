"""Whether a machine does anything else: what is measured beside other work is that work, too."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

PROC = Path("/proc")
SAMPLE = 0.5
"""Seconds that a machine is watched."""

BUSY = 0.1
"""Part of all cores that other work may take."""

LISTED = 3
"""Processes that a complaint names."""

TICKS = 100
"""Per second, in /proc, wherever Linux does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """At a time, in seconds: core-seconds that were worked and that there were, by all and by this
    process, and by process id what it is called and has worked."""

    at: float
    busy: float
    total: float
    own: float
    cores: int
    processes: dict[int, tuple[str, float]]


@dataclass(frozen=True, slots=True)
class OtherWork:
    """``used``: cores' worth of work by others, of ``cores``. ``by``: processes and their part."""

    used: float
    cores: int
    by: tuple[tuple[str, int, float], ...] = ()

    @property
    def disturbs(self) -> bool:
        return self.used > BUSY * self.cores

    def __str__(self) -> str:
        names = ", ".join(f"{name} ({pid}) {used:.2f}" for name, pid, used in self.by[:LISTED])
        seen = f": {names}" if names else ""
        return f"others use {self.used:.1f} of {self.cores} cores{seen}"


def snapshot(proc: Path = PROC) -> Snapshot | None:
    """What has been worked until now; None on a system without Linux's /proc."""
    try:
        lines = (proc / "stat").read_text().splitlines()
        columns = [float(value) / _ticks() for value in lines[0].split()[1:9]]
        processes = dict(_processes(proc))
    except (OSError, ValueError, IndexError):
        return None
    idle = columns[3] + columns[4]  # nothing to do, and waiting for a disk
    cores = sum(line[:3] == "cpu" and line[3:4].isdigit() for line in lines)
    total = sum(columns)
    return Snapshot(
        time.monotonic(), total - idle, total, time.process_time(), max(cores, 1), processes
    )


def other_work(before: Snapshot | None, after: Snapshot | None) -> OtherWork | None:
    """What others did between two snapshots; None where nobody can tell."""
    if before is None or after is None or after.total <= before.total:
        return None
    cores = after.cores
    seconds = (after.total - before.total) / cores
    used = max(0.0, (after.busy - before.busy) - (after.own - before.own)) / seconds
    by = [
        (name, pid, (worked - before.processes.get(pid, ("", 0.0))[1]) / seconds)
        for pid, (name, worked) in after.processes.items()
        if pid != os.getpid()
    ]
    by.sort(key=lambda one: -one[2])
    return OtherWork(used, cores, tuple(one for one in by if one[2] >= 0.05))


def disturbances(device: torch.device, seconds: float = SAMPLE) -> tuple[str, ...]:
    """What else the machine does, a sentence each; none where it is quiet, or cannot tell."""
    before = snapshot()
    time.sleep(seconds)
    work = other_work(before, snapshot())
    found = [str(work)] if work is not None and work.disturbs else []
    if work is None:
        found += _by_load()
    if device.type == "cuda":
        found += _on_gpu(device)
    return tuple(found)


def gpu_disturbances(table: str, processes: str, uuid: str, own: int) -> list[str]:
    """From two tables of nvidia-smi: ``uuid, utilization.gpu`` and ``gpu_uuid, pid, name``."""
    found = []
    for name, used, *_ in _rows(table):
        if name.removeprefix("GPU-") == uuid and used.isdigit() and int(used) > 100 * BUSY:
            found.append(f"the GPU is {used}% busy")
    others = [
        f"{Path(name).name} ({pid})"
        for gpu, pid, name, *_ in _rows(processes)
        if gpu.removeprefix("GPU-") == uuid and pid != str(own)
    ]
    if others:
        found.append(f"others are on the GPU: {', '.join(others)}")
    return found


def _processes(proc: Path) -> Iterator[tuple[int, tuple[str, float]]]:
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it may have ended by now
                head, _, tail = (folder / "stat").read_text().rpartition(")")
                fields = tail.split()
                worked = (int(fields[11]) + int(fields[12])) / _ticks()  # in its own code, for it
                yield int(folder.name), (head.partition("(")[2], worked)


def _ticks() -> float:
    try:
        return float(os.sysconf("SC_CLK_TCK"))
    except (AttributeError, ValueError, OSError):
        return TICKS


def _by_load() -> list[str]:
    """Of the last minute, this process's own work among it; better than nothing."""
    cores = os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return []
    if load <= BUSY * cores:
        return []
    return [f"the load average of the last minute is {load:.1f}, of {cores} cores"]


def _on_gpu(device: torch.device) -> list[str]:
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    table = _smi("--query-gpu=uuid,utilization.gpu")
    processes = _smi("--query-compute-apps=gpu_uuid,pid,process_name")
    if table is None or processes is None:
        return ["nvidia-smi does not tell whether others use the GPU"]
    return gpu_disturbances(table, processes, uuid, os.getpid())


def _smi(query: str) -> str | None:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _rows(table: str) -> Iterator[Sequence[str]]:
    for line in table.splitlines():
        if line.strip():
            yield [value.strip() for value in line.split(",")]
