"""Forward passes of networks, ready to be timed on a device."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork
from scalesearch.models.stopwatch import synchronize


def device_name(device: str) -> str:
    """Name of the device for people: ``cpu``, or a GPU's name after ``cuda``."""
    torch_device = find_device(device)
    return (
        f"cuda: {torch.cuda.get_device_name(torch_device)}"
        if torch_device.type == "cuda"
        else "cpu"
    )


def find_device(name: str) -> torch.device:
    """Device by its name. Raises ArchitectureError if it is missing."""
    try:
        torch_device = torch.device(name)
    except RuntimeError as error:
        raise ArchitectureError(f"device: need cpu or cuda, got {name!r}") from error
    if torch_device.type not in ("cpu", "cuda"):
        raise ArchitectureError(f"device: need cpu or cuda, got {name!r}")
    if torch_device.type == "cuda" and (torch_device.index or 0) >= torch.cuda.device_count():
        raise ArchitectureError(
            f"device: need one that torch has, got {name!r} among {torch.cuda.device_count()} "
            "CUDA devices"
        )
    return torch_device


WARM_UP_PASSES = 10
"""Passes before the first that counts, or as many as ``WARM_UP_SECONDS`` allow.

They allocate memory, choose algorithms and wake the processor.
"""
WARM_UP_SECONDS = 1.0

OUT_OF_MEMORY = "out of memory"

TimingMode: TypeAlias = Literal["eager", "graph"]


@dataclass(frozen=True, slots=True)
class PreparedPass:
    """A forward pass that is ready to run.

    ``run``: one forward pass of the batch. ``seconds``: rough time of the last one.
    ``peak_bytes``: see ``NetworkTiming``.
    """

    name: str
    mode: TimingMode
    run: Callable[[], object]
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class SkippedPass:
    """A network that cannot run so; ``note`` gives the reason."""

    name: str
    mode: TimingMode
    note: str


def prepare_passes(
    named_network: NamedNetwork, batch_size: int, device: torch.device
) -> Iterator[PreparedPass | SkippedPass]:
    """Return the network, warmed up; on a GPU also as a CUDA graph."""
    is_cuda = device.type == "cuda"
    bytes_before = torch.cuda.memory_allocated(device) if is_cuda else 0
    try:
        network, images_BCHW = network_on_device(named_network, batch_size, device)
        run = partial(network, images_BCHW)
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        seconds = _warm_up(run, device)
        peak_bytes = (
            torch.cuda.max_memory_allocated(device) - bytes_before
            if is_cuda
            else cpu_peak_bytes(network, images_BCHW)
        )
    except torch.OutOfMemoryError:
        yield SkippedPass(named_network.name, "eager", OUT_OF_MEMORY)
        if is_cuda:
            yield SkippedPass(named_network.name, "graph", OUT_OF_MEMORY)
        return
    yield PreparedPass(named_network.name, "eager", run, seconds, peak_bytes)
    if is_cuda:
        yield _capture_cuda_graph(named_network.name, run, device, bytes_before)


def cpu_peak_bytes(network: nn.Module, images_BCHW: Tensor) -> int | None:
    """Peak bytes of torch's CPU allocator during one pass, with weights and images.

    The counterpart of ``torch.cuda.max_memory_allocated``. Workspace that a library allocates
    itself is not included. None if torch's profiler does not report it.
    """
    os.environ.setdefault(
        "KINETO_LOG_LEVEL", "99"
    )  # otherwise the profiler reports its start and stop
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        network(images_BCHW)
    kineto = getattr(profiler.profiler, "kineto_results", None)
    if kineto is None:
        return None
    memory_events = [event for event in kineto.events() if event.name() == "[memory]"]
    memory_events.sort(key=lambda event: event.start_ns())
    peak = max(accumulate(event.nbytes() for event in memory_events), default=0)
    tensors = [*network.parameters(), *network.buffers(), images_BCHW]
    return int(peak + sum(tensor.nbytes for tensor in tensors))


def network_on_device(
    named_network: NamedNetwork, batch_size: int, device: torch.device
) -> tuple[nn.Module, Tensor]:
    """Return the network and its images (B, C, R, R), both in channels_last order."""
    network = named_network.build().to(device=device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (
        batch_size,
        named_network.in_channels,
        named_network.resolution,
        named_network.resolution,
    )
    images_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return network, images_BCHW.to(device, memory_format=torch.channels_last)


def _warm_up(run: Callable[[], object], device: torch.device) -> float:
    """Warm up, and return the seconds of the last pass."""
    warm_up_started = time.perf_counter()
    for _ in range(WARM_UP_PASSES):
        started = time.perf_counter()
        run()
        synchronize(device)
        ended = time.perf_counter()
        if ended - warm_up_started > WARM_UP_SECONDS:
            break
    return ended - started


def _capture_cuda_graph(
    name: str, run: Callable[[], object], device: torch.device, bytes_before: int
) -> PreparedPass | SkippedPass:
    """Record the pass as a CUDA graph, which replays all launches at once."""
    torch.cuda.reset_peak_memory_stats(device)
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph):
            captured_output = run()
        seconds = _warm_up(graph.replay, device)
    except torch.OutOfMemoryError:
        return SkippedPass(name, "graph", OUT_OF_MEMORY)
    except RuntimeError as error:  # code that synchronises cannot be recorded
        return SkippedPass(name, "graph", f"no graph: {str(error).splitlines()[0]}")
    peak_bytes = torch.cuda.max_memory_allocated(device) - bytes_before

    def replay(output: object = captured_output) -> None:
        graph.replay()

    return PreparedPass(name, "graph", replay, seconds, peak_bytes)
