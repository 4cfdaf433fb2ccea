"""The random stream of a step's dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cuda_generator(device: torch.device) -> torch.Generator | None:
    """What a run draws with on CUDA; None on a CPU, whose default generator serves all runs."""
    return torch.Generator(device) if device.type == "cuda" else None


@contextmanager
def random_stream(seed: int, generator: torch.Generator | None) -> Iterator[None]:
    """Within: all draws come from the stream of a seed, on the CPU and on the generator's device.

    The generator stands in for its device's default one, which is put back. Up to PyTorch 2.11 a
    CUDA graph reads its seed from memory that belongs to the generator it was recorded with: runs
    side by side would overwrite each other's.
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
