"""The random stream of a step's dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cuda_generator(device: torch.device) -> torch.Generator | None:
    """Return a run's own generator on CUDA; None on a CPU."""
    return torch.Generator(device) if device.type == "cuda" else None


@contextmanager
def random_stream(seed: int, generator: torch.Generator | None) -> Iterator[None]:
    """Draw from the stream of a seed within the block, on CPU and device.

    The generator replaces its device's default one, which is restored. Up to PyTorch 2.11 a CUDA
    graph reads its seed from memory of the generator it was recorded with, so runs that share a
    generator would overwrite each other's seeds.
    """
    torch.default_generator.manual_seed(seed)
    if generator is None:
        yield
        return
    generator.manual_seed(seed)
    default = torch.cuda.default_generators[generator.device.index]
    previous_state = default.graphsafe_get_state()
    default.graphsafe_set_state(generator)
    try:
        yield
    finally:
        default.graphsafe_set_state(previous_state)
