"""Peak memory of a run, and utilisation of the device's arithmetic."""

import ctypes
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Precision
from scalesearch.config.transfer_spec import part_names
from scalesearch.training.device import AUTOCAST_DTYPES

MATRIX_SIDES = {"cpu": 1024, "cuda": 8192}
"""Sides of the matrices whose product measures a device's peak speed."""
BENCHMARK_SECONDS = 0.2
STEP_OVER_FORWARD = 3
"""Cost of a step over a forward pass: the gradients of inputs and weights cost as much each."""

PROC_STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak of memory, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except OSError:
        return


def peak_bytes(device: torch.device) -> int:
    """Return the peak of memory since ``reset_peak_memory``; 0 if unknown.

    On CUDA it is the memory that PyTorch has reserved on the device, including that of graphs; on
    a CPU that of the whole process, including its libraries and data.
    """
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
    """Return free memory of the allocator, so the next network finds it in one piece."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc's; musl has none
        trim(0)


def utilisation(
    macs: float, images_per_second: float, device: torch.device, precision: Precision
) -> float:
    """Return the model-FLOP utilisation.

    This is the number of multiply-adds that training needs over those of a large matrix product
    in the same format and time. ``macs``: multiply-adds of one image's forward pass.
    """
    return (
        STEP_OVER_FORWARD
        * macs
        * images_per_second
        / matrix_macs_per_second(device.type, precision, torch.get_num_threads())
    )


@cache
def training_macs(
    network: Architecture | CustomModel, resolution: int, frozen_names: frozenset[str] = frozenset()
) -> float:
    """Return a third of the multiply-adds of a training step for one image.

    Without frozen parts this is the forward pass. Leading frozen parts have no backward pass, so
    only a third of theirs count.
    """
    network_at_resolution = replace(network, resolution=resolution)
    macs = float(cost(network_at_resolution).macs)
    if not frozen_names or isinstance(network_at_resolution, CustomModel):
        return macs
    names = part_names(len(network_at_resolution.stages))
    first_trained = next(index for index, name in enumerate(names) if name not in frozen_names)
    if first_trained == 0:
        return macs
    return macs - _leading_macs(network_at_resolution, first_trained) * 2 / 3


def _leading_macs(network: Architecture, count: int) -> float:
    """Return the multiply-adds of a network's first ``count`` parts."""
    has_head = count == len(network.stages) + 2
    stages = network.stages[: count - 1]
    if not stages:  # an architecture has at least one; the stem alone reads and writes once
        side = -(-network.resolution // network.stem_stride)
        taps = network.stem_kernel**2 * network.in_channels
        return float(taps * network.stem * side**2)
    truncated = replace(
        network,
        stages=stages,
        num_classes=1,
        head=network.head if has_head else 0,
        head_pooled=network.head_pooled and has_head,
        exact_widths=(),
    )
    return float(cost(truncated).macs - truncated.num_features)


@cache
def matrix_macs_per_second(device_type: str, precision: Precision, threads: int) -> float:
    """Measure the multiply-adds per second of a matrix product, once per process.

    The best of several is returned. ``threads`` is the current number of threads, which is only
    part of the cache key.
    """
    side = MATRIX_SIDES[device_type]
    # Random, because a GPU runs faster on equal numbers.
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
    release_memory(torch.device(device_type))  # otherwise it would count as the next epoch's memory
    return float(side**3 / best_seconds)


def _synchronize(device_type: str) -> None:
    if device_type == "cuda":
        torch.cuda.synchronize()
