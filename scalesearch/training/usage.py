"""What a run takes of the machine: its peak of memory, and how much of the arithmetic it uses."""

import ctypes
import sys
import time
from functools import cache
from pathlib import Path

import torch

from scalesearch.recipe import Precision
from scalesearch.training.precision import NARROW

SIDES = {"cpu": 1024, "cuda": 8192}
"""Of the matrices whose product stands for all that a device can do."""
SECONDS = 0.2
BACKWARD = 3
"""A step over a forward pass: gradients of inputs and of weights cost as much each."""

STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def reset_peak(device: torch.device) -> None:
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
        lines = STATUS.read_text().splitlines()
    except OSError:
        return _peak_of_unix()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _peak_of_unix() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def return_memory(device: torch.device) -> None:
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
        BACKWARD
        * macs
        * images_per_second
        / matrix_macs_per_second(device.type, precision, torch.get_num_threads())
    )


@cache
def matrix_macs_per_second(kind: str, precision: Precision, threads: int) -> float:
    """Multiply-adds a second of a matrix product, the best of several; measured once a process.

    ``threads`` is the present number; it is here since another number is another figure.
    """
    side = SIDES[kind]
    # Drawn, since a GPU runs faster on numbers that are all alike.
    generator = torch.Generator(kind).manual_seed(0)
    one = torch.rand(side, side, device=kind, generator=generator)
    one = one.to(NARROW.get(precision, torch.float32))
    out = torch.empty_like(one)
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == float("inf"):
        _wait(kind)
        began = time.perf_counter()
        torch.mm(one, one, out=out)
        _wait(kind)
        best = min(best, time.perf_counter() - began)
    del one, out
    return_memory(torch.device(kind))  # or it would count as the next epoch's
    return float(side**3 / best)


def _wait(kind: str) -> None:
    if kind == "cuda":
        torch.cuda.synchronize()
