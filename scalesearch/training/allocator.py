"""Memory that a step gives back and takes again, kept in the process meanwhile.

glibc returns blocks above 32 MiB to the system as soon as they are free, and the system fills them
with zeros, page by page, when the next step asks for them: 5 to 8% of a step of B0 with 128 images
(``benchmarks/README.md``). Kept, they cost about a fifth more memory while an epoch is trained.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # malloc.h of glibc
MIB = 1 << 20

KEEP_MEMORY_OPTIONS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * MIB}
"""No block of its own for anything, nothing returned, and growth in large strides."""

DEFAULT_OPTIONS = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * MIB, TRIM_THRESHOLD: 64 * MIB, TOP_PAD: 128 * 1024}
"""Where glibc's own thresholds, which grow with what is freed, end in a process with tensors."""


@contextmanager
def keep_memory(device: torch.device) -> Iterator[None]:
    """Within: what is freed stays with the process, on a CPU and where the allocator is glibc's."""
    mallopt = _mallopt() if device.type == "cpu" else None
    if mallopt is None:
        yield
        return
    _set_options(mallopt, KEEP_MEMORY_OPTIONS)
    try:
        yield
    finally:
        _set_options(mallopt, DEFAULT_OPTIONS)


def _set_options(mallopt: Callable[[int, int], int], options: dict[int, int]) -> None:
    for name, value in options.items():
        mallopt(name, value)


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """glibc's ``mallopt``; other C libraries have none, or one that means something else."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    mallopt: Callable[[int, int], int] = library.mallopt
    return mallopt
