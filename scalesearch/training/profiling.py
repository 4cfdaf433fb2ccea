"""What a run takes of the machine: its peak of memory, and how much of the arithmetic it uses."""

import ctypes
import sys
import time
from functools import cache
from pathlib import Path

import torch

from scalesearch.config.recipe import Precision
from scalesearch.training.device import AUTOCAST_DTYPES

MATRIX_SIDES = {"cpu": 1024, "cuda": 8192}
"""Of the matrices whose product stands for all that a device can do."""
BENCHMARK_SECONDS = 0.2
STEP_OVER_FORWARD = 3
"""A step over a forward pass: gradients of inputs and of weights cost as much each."""

PROC_STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak so far, where the system lets a process do so."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except OSError:
        return


def peak_bytes(device: torch.device) -> int:
    """Most memory in use since ``reset_peak``: on CUDA what PyTorch has taken of the device, which
    holds that of its graphs too, on a CPU the whole process's (its libraries and data included).
    0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        lines = PROC_STATUS.read_text().splitlines()
    except OSError:
        return _rusage_peak_bytes()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _rusage_peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def release_memory(device: torch.device) -> None:
    """Give back what is free in the allocator, so that the next network finds it whole."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc's; musl has none
        trim(0)


def utilisation(
    macs: float, images_per_second: float, device: torch.device, precision: Precision
) -> float:
    """Model-FLOP utilisation: the multiply-adds that training needs by count, over those of a large
    matrix product in the same format in the same time. ``macs``: of one image, forward."""
    return (
        STEP_OVER_FORWARD
        * macs
        * images_per_second
        / matrix_macs_per_second(device.type, precision, torch.get_num_threads())
    )


@cache
def matrix_macs_per_second(device_type: str, precision: Precision, threads: int) -> float:
    """Multiply-adds a second of a matrix product, the best of several; measured once a process.

    ``threads`` is the present number; it is here since another number is another figure.
    """
    side = MATRIX_SIDES[device_type]
    # Drawn, since a GPU runs faster on numbers that are all alike.
    generator = torch.Generator(device_type).manual_seed(0)
    matrix = torch.rand(side, side, device=device_type, generator=generator)
    matrix = matrix.to(AUTOCAST_DTYPES.get(precision, torch.float32))
    out = torch.empty_like(matrix)
    best_seconds, deadline = float("inf"), time.perf_counter() + BENCHMARK_SECONDS
    while time.perf_counter() < deadline or best_seconds == float("inf"):
        _synchronize(device_type)
        started = time.perf_counter()
        torch.mm(matrix, matrix, out=out)
        _synchronize(device_type)
        best_seconds = min(best_seconds, time.perf_counter() - started)
    del matrix, out
    release_memory(torch.device(device_type))  # or it would count as the next epoch's
    return float(side**3 / best_seconds)


def _synchronize(device_type: str) -> None:
    if device_type == "cuda":
        torch.cuda.synchronize()
