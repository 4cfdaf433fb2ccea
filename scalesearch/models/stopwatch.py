"""Seconds of calls that take turns, on a fixed number of CPU threads.

To time one call after another is to compare one minute with the next, when the machine may be
busier or hotter. So calls take turns, round after round, and callers compare within the rounds.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Use this many of PyTorch's threads within the block, then restore the number."""
    previous_count = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous_count)


def time_rounds(
    runs: Sequence[Callable[[], object]],
    rounds: int,
    passes: Sequence[int] | None = None,
    device: torch.device | None = None,
) -> Iterator[list[list[float]]]:
    """Yield for each round the seconds of each run's passes.

    ``passes``: consecutive passes of each run within its turn; by default one.
    """
    pass_counts = [1] * len(runs) if passes is None else passes
    for _ in range(rounds):
        yield [
            [time_run(run, device) for _ in range(count)]
            for run, count in zip(runs, pass_counts, strict=True)
        ]


def time_run(run: Callable[[], object], device: torch.device | None = None) -> float:
    """Return the seconds of one run, to the end of its work on the device."""
    synchronize(device)
    started = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device | None) -> None:
    """Wait for a GPU, which works asynchronously."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
