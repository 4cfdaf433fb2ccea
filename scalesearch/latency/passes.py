"""A network on a device, ready to be run again and again, and what memory a pass takes."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from scalesearch.latency.stopwatch import wait
from scalesearch.nets import Entry

WARM_UP = 10
"""Passes before the first that counts, or as many as end within ``WARM_SECONDS``: they allocate
memory, choose algorithms and wake the processor."""
WARM_SECONDS = 1.0

FULL = "out of memory"

Mode: TypeAlias = Literal["eager", "graph"]


@dataclass(frozen=True, slots=True)
class Pass:
    """``run``: one forward pass of the batch. ``seconds``: what one took last, roughly.
    ``peak_bytes``: see ``bench.Timed``."""

    name: str
    mode: Mode
    run: Callable[[], object]
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Unfit:
    """A network that cannot be run so; ``note`` says why."""

    name: str
    mode: Mode
    note: str


def passes(entry: Entry, batch_size: int, device: torch.device) -> Iterator[Pass | Unfit]:
    """The network as it is run, warmed up; on a GPU also as a CUDA graph."""
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else 0
    try:
        network, images_BCHW = _placed(entry, batch_size, device)

        def run() -> Tensor:
            return network(images_BCHW)  # type: ignore[no-any-return]

        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        seconds = _warmed(run, device)
        peak = (
            torch.cuda.max_memory_allocated(device) - before
            if cuda
            else cpu_peak_bytes(network, images_BCHW)
        )
    except torch.OutOfMemoryError:
        yield Unfit(entry.name, "eager", FULL)
        if cuda:
            yield Unfit(entry.name, "graph", FULL)
        return
    yield Pass(entry.name, "eager", run, seconds, peak)
    if cuda:
        yield _graphed(entry.name, run, device, before)


def cpu_peak_bytes(network: nn.Module, images_BCHW: Tensor) -> int | None:
    """Bytes that torch's CPU allocator has given out at most during one pass, with the weights and
    the images: the counterpart of ``torch.cuda.max_memory_allocated``. Working space that a
    library allocates for itself is not in it. None where torch's profiler does not tell.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler says that it starts and stops
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        network(images_BCHW)
    kineto = getattr(profiler.profiler, "kineto_results", None)
    if kineto is None:
        return None
    steps = [event for event in kineto.events() if event.name() == "[memory]"]
    steps.sort(key=lambda event: event.start_ns())
    peak = max(accumulate(event.nbytes() for event in steps), default=0)
    tensors = [*network.parameters(), *network.buffers(), images_BCHW]
    return int(peak + sum(tensor.nbytes for tensor in tensors))


def _placed(entry: Entry, batch_size: int, device: torch.device) -> tuple[nn.Module, Tensor]:
    """The network and its images (B, C, R, R), both in channels_last order."""
    network = entry.made().to(device=device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (batch_size, entry.in_channels, entry.resolution, entry.resolution)
    images_BCHW = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return network, images_BCHW.to(device, memory_format=torch.channels_last)


def _warmed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of the last pass of the warm-up."""
    since = time.perf_counter()
    for _ in range(WARM_UP):
        begun = time.perf_counter()
        run()
        wait(device)
        ended = time.perf_counter()
        if ended - since > WARM_SECONDS:
            break
    return ended - begun


def _graphed(
    name: str, run: Callable[[], object], device: torch.device, before: int
) -> Pass | Unfit:
    """The same pass recorded once and replayed: every launch at once."""
    torch.cuda.reset_peak_memory_stats(device)
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph):
            kept = run()
        seconds = _warmed(graph.replay, device)
    except torch.OutOfMemoryError:
        return Unfit(name, "graph", FULL)
    except RuntimeError as error:  # what synchronises cannot be recorded
        return Unfit(name, "graph", f"no graph: {str(error).splitlines()[0]}")
    peak = torch.cuda.max_memory_allocated(device) - before

    def replay(holding: object = kept) -> None:
        graph.replay()

    return Pass(name, "graph", replay, seconds, peak)
