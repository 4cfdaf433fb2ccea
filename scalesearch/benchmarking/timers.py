"""A stopwatch: how long networks take on this machine.

Timing one network at a time compares it in one minute with another in the next, when the machine
is busier or hotter. So networks are measured in turn, round after round, and each is the median of
its rounds.

A network on a device, ready to be run again and again, and what memory a pass takes.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.models.initialisation import initialise
from scalesearch.models.named import NamedNetwork
from scalesearch.models.network import Network, build_model

WARM_UP_ROUNDS = 3
"""Passes before the first that counts: they allocate memory and choose algorithms."""


def measure_latency(
    architecture: Architecture,
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
) -> float:
    """Seconds of a forward pass of ``batch_size`` images in float32: the median of ``rounds``."""
    (seconds,) = measure_latencies(
        [architecture], batch_size=batch_size, device=device, threads=threads, rounds=rounds
    )
    return seconds


def measure_latencies(
    architectures: Sequence[Architecture],
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
) -> list[float]:
    """Seconds of each network's forward pass, measured by turns; see ``measure``.

    All of them are on the device at once. Raises ArchitectureError for a device that is not there.
    """
    for name, value in (("batch_size", batch_size), ("threads", threads), ("rounds", rounds)):
        if value < 1:
            raise ArchitectureError(f"{name}: need at least 1, got {value}")
    torch_device = find_device(device)
    with use_threads(threads), torch.inference_mode():
        prepared = [
            _prepare_network(architecture, batch_size, torch_device)
            for architecture in architectures
        ]
        for network, images_BCHW in prepared:
            for _ in range(WARM_UP_ROUNDS):
                network(images_BCHW)
        seconds = [
            [_time_pass(*network_and_images, torch_device) for network_and_images in prepared]
            for _ in range(rounds)
        ]
    return [median(network_seconds) for network_seconds in zip(*seconds, strict=True)]


def device_name(device: str) -> str:
    """The device as people know it: ``cpu``, or a GPU's own name behind ``cuda``."""
    torch_device = find_device(device)
    return (
        f"cuda: {torch.cuda.get_device_name(torch_device)}"
        if torch_device.type == "cuda"
        else "cpu"
    )


def find_device(name: str) -> torch.device:
    """The device by its name. Raises ArchitectureError where it is not there."""
    try:
        torch_device = torch.device(name)
    except RuntimeError as error:
        raise ArchitectureError(f"device: need cpu or cuda, got {name!r}") from error
    if torch_device.type not in ("cpu", "cuda"):
        raise ArchitectureError(f"device: need cpu or cuda, got {name!r}")
    if torch_device.type == "cuda" and (torch_device.index or 0) >= torch.cuda.device_count():
        raise ArchitectureError(
            f"device: {name!r} was asked for, and torch sees {torch.cuda.device_count()} of CUDA"
        )
    return torch_device


def _prepare_network(
    architecture: Architecture, batch_size: int, device: torch.device
) -> tuple[Network, Tensor]:
    """The network and its images (B, C, R, R), both in channels_last order."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        network = build_model(architecture)
    network.to_empty(device=device)
    initialise(network, generator)  # weights of a signal that stays clear of denormal numbers
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    resolution = architecture.resolution
    images_BCHW = torch.randn(
        (batch_size, architecture.in_channels, resolution, resolution), generator=generator
    )
    return network.eval(), images_BCHW.to(device, memory_format=torch.channels_last)


def _time_pass(network: Network, images_BCHW: Tensor, device: torch.device) -> float:
    synchronize(device)
    started = time.perf_counter()
    network(images_BCHW)
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """A GPU is handed its work and goes on by itself."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """So many CPU threads; the caller's are put back."""
    previous_threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous_threads)


WARM_UP_PASSES = 10
"""Passes before the first that counts, or as many as end within ``WARM_SECONDS``: they allocate
memory, choose algorithms and wake the processor."""
WARM_UP_SECONDS = 1.0

OUT_OF_MEMORY = "out of memory"

TimingMode: TypeAlias = Literal["eager", "graph"]


@dataclass(frozen=True, slots=True)
class PreparedPass:
    """``run``: one forward pass of the batch. ``seconds``: what one took last, roughly.
    ``peak_bytes``: see ``bench.Timed``."""

    name: str
    mode: TimingMode
    run: Callable[[], object]
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class SkippedPass:
    """A network that cannot be run so; ``note`` says why."""

    name: str
    mode: TimingMode
    note: str


def prepare_passes(
    named_network: NamedNetwork, batch_size: int, device: torch.device
) -> Iterator[PreparedPass | SkippedPass]:
    """The network as it is run, warmed up; on a GPU also as a CUDA graph."""
    is_cuda = device.type == "cuda"
    bytes_before = torch.cuda.memory_allocated(device) if is_cuda else 0
    try:
        network, images_BCHW = _network_on_device(named_network, batch_size, device)

        def run() -> Tensor:
            return network(images_BCHW)  # type: ignore[no-any-return]

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
    memory_events = [event for event in kineto.events() if event.name() == "[memory]"]
    memory_events.sort(key=lambda event: event.start_ns())
    peak = max(accumulate(event.nbytes() for event in memory_events), default=0)
    tensors = [*network.parameters(), *network.buffers(), images_BCHW]
    return int(peak + sum(tensor.nbytes for tensor in tensors))


def _network_on_device(
    named_network: NamedNetwork, batch_size: int, device: torch.device
) -> tuple[nn.Module, Tensor]:
    """The network and its images (B, C, R, R), both in channels_last order."""
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
    """Seconds of the last pass of the warm-up."""
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
    """The same pass recorded once and replayed: every launch at once."""
    torch.cuda.reset_peak_memory_stats(device)
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(graph):
            captured_output = run()
        seconds = _warm_up(graph.replay, device)
    except torch.OutOfMemoryError:
        return SkippedPass(name, "graph", OUT_OF_MEMORY)
    except RuntimeError as error:  # what synchronises cannot be recorded
        return SkippedPass(name, "graph", f"no graph: {str(error).splitlines()[0]}")
    peak_bytes = torch.cuda.max_memory_allocated(device) - bytes_before

    def replay(output: object = captured_output) -> None:
        graph.replay()

    return PreparedPass(name, "graph", replay, seconds, peak_bytes)
