"""A stopwatch: how long networks take on this machine.

Timing one network at a time compares it in one minute with another in the next, when the machine
is busier or hotter. So networks are measured in turn, round after round, and each is the median of
its rounds.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor

from scalesearch.architectures import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.nets import Network, build_model, initialise

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
        prepared = [_prepare_network(architecture, batch_size, torch_device) for architecture in architectures]
        for network, images_BCHW in prepared:
            for _ in range(WARM_UP_ROUNDS):
                network(images_BCHW)
        seconds = [[_time_pass(*network_and_images, torch_device) for network_and_images in prepared] for _ in range(rounds)]
    return [median(network_seconds) for network_seconds in zip(*seconds, strict=True)]


def device_name(device: str) -> str:
    """The device as people know it: ``cpu``, or a GPU's own name behind ``cuda``."""
    torch_device = find_device(device)
    return f"cuda: {torch.cuda.get_device_name(torch_device)}" if torch_device.type == "cuda" else "cpu"


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
