"""Networks timed side by side: seconds of a batch, their spread, and memory.

All networks of one batch size are measured in the same rounds, in turns, and the reference has a
turn in every round. So a machine that gets hotter or busier does so for all, and the ratio to the
reference within each round hardly changes. The turn of a fast network begins with a pass that does
not count, because another network's turn has changed the caches.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TypeAlias

import torch

from scalesearch.benchmarking.forward_passes import (
    PreparedPass,
    SkippedPass,
    TimingMode,
    find_device,
    prepare_passes,
)
from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork
from scalesearch.models.stopwatch import time_rounds, use_threads

TARGET_RUNS = 100
TARGET_SECONDS = 1.0
"""A network is measured this long or this often, whichever comes first."""

MIN_RUNS = 5
"""Passes of even the slowest network."""

MAX_ROUNDS = 20
"""Most rounds into which its passes are divided."""

SLOW_SECONDS = 0.2
"""Seconds of a pass beyond which cold caches do not matter."""

MIN_RUNS_FOR_P90 = 10
"""Least passes for a ninth decile."""

OnTurn: TypeAlias = Callable[[str, int, int], None]
"""Called with the current work, and the done and total number of turns."""


@dataclass(frozen=True, slots=True)
class NetworkTiming:
    """Latency of a network for a batch.

    ``mode``: ``graph`` replays a CUDA graph, which leaves out launch costs. ``runs``: passes that
    counted. ``seconds``: their median. ``p90_seconds``: their ninth decile, None for fewer than
    ``MIN_RUNS_FOR_P90``. ``ratio``: to the reference in the same mode, the median over rounds.
    ``peak_bytes``: peak of torch's allocator, with weights and images; None if unknown. If the
    batch does not fit, only ``note`` is set.
    """

    name: str
    batch_size: int
    mode: TimingMode
    runs: int = 0
    seconds: float | None = None
    p90_seconds: float | None = None
    ratio: float | None = None
    peak_bytes: int | None = None
    note: str = ""

    @property
    def images_per_second(self) -> float | None:
        """Images per second at the median; None without a timing."""
        return None if self.seconds is None else self.batch_size / self.seconds


def time_networks(
    named_networks: Sequence[NamedNetwork],
    *,
    reference: NamedNetwork,
    batch_sizes: Sequence[int] = (1,),
    device: str = "cpu",
    threads: int = 1,
    target_runs: int = TARGET_RUNS,
    target_seconds: float = TARGET_SECONDS,
    on_turn: OnTurn = lambda what, done, total: None,
) -> tuple[NetworkTiming, ...]:
    """Time each network at each batch size in float32, the reference first.

    On a GPU each is also timed as a CUDA graph. Each is measured ``target_runs`` times or for
    ``target_seconds``, whichever comes first, but at least ``MIN_RUNS`` times. Raises
    ArchitectureError for a missing device, and for a number out of range.
    """
    counts = {"threads": threads, "runs": target_runs}
    for name, value in (*counts.items(), *(("batch", size) for size in batch_sizes)):
        if value < 1:
            raise ArchitectureError(f"{name}: need at least 1, got {value}")
    if not 0 < target_seconds < math.inf:
        raise ArchitectureError(f"seconds: need a time above 0, got {target_seconds:g}")
    torch_device = find_device(device)
    all_networks = [reference, *(other for other in named_networks if other != reference)]
    rows: list[NetworkTiming] = []
    with use_threads(threads), torch.inference_mode():
        for size in batch_sizes:
            prepared: list[PreparedPass | SkippedPass] = []
            for named_network in all_networks:
                on_turn(f"batch {size}: {named_network.name} is warmed up", 0, 1)
                prepared += prepare_passes(named_network, size, torch_device)
            runnable = [
                prepared_pass
                for prepared_pass in prepared
                if isinstance(prepared_pass, PreparedPass)
            ]
            plan = _plan_rounds(
                [runnable_pass.seconds for runnable_pass in runnable], target_runs, target_seconds
            )
            measured = _time_in_turn(runnable, plan, torch_device, size, on_turn)
            rows += _timing_rows(prepared, measured, size)
            del prepared, runnable
            if torch_device.type == "cuda":
                torch.cuda.empty_cache()
    return tuple(rows)


def _plan_rounds(
    seconds: Sequence[float], target_runs: int, target_seconds: float
) -> tuple[int, list[int]]:
    """Return number of rounds, and passes of each network in each round.

    The slowest network decides the number of rounds.
    """
    run_counts = [
        max(MIN_RUNS, min(target_runs, math.ceil(target_seconds / max(value, 1e-9))))
        for value in seconds
    ]
    rounds = min([MAX_ROUNDS, *run_counts])
    return rounds, [math.ceil(count / rounds) for count in run_counts]


def _time_in_turn(
    runnable: Sequence[PreparedPass],
    plan: tuple[int, list[int]],
    torch_device: torch.device,
    size: int,
    on_turn: OnTurn,
) -> list[list[list[float]]]:
    """Seconds by network, round and pass."""
    rounds, counts = plan
    warm_passes = [int(runnable_pass.seconds < SLOW_SECONDS) for runnable_pass in runnable]
    passes = [count + warm for count, warm in zip(counts, warm_passes, strict=True)]
    runs = [runnable_pass.run for runnable_pass in runnable]
    seconds: list[list[list[float]]] = [[] for _ in runnable]
    for index, turns in enumerate(time_rounds(runs, rounds, passes, torch_device), start=1):
        for network_seconds, turn, warm in zip(seconds, turns, warm_passes, strict=True):
            network_seconds.append(turn[warm:])
        on_turn(f"batch {size}", index, rounds)
    return seconds


def _timing_rows(
    prepared: Sequence[PreparedPass | SkippedPass], measured: Sequence[list[list[float]]], size: int
) -> Iterator[NetworkTiming]:
    """Return timings of every network, the reference first."""
    turns = iter(measured)
    reference: dict[TimingMode, list[list[float]]] = {}
    for prepared_pass in prepared:
        if isinstance(prepared_pass, SkippedPass):
            yield NetworkTiming(
                prepared_pass.name, size, prepared_pass.mode, note=prepared_pass.note
            )
            continue
        rounds = next(turns)
        if prepared_pass.name == prepared[0].name:
            reference.setdefault(prepared_pass.mode, rounds)
        all_seconds = [seconds for turn in rounds for seconds in turn]
        reference_rounds = reference.get(prepared_pass.mode)
        yield NetworkTiming(
            name=prepared_pass.name,
            batch_size=size,
            mode=prepared_pass.mode,
            runs=len(all_seconds),
            seconds=median(all_seconds),
            p90_seconds=quantiles(all_seconds, n=10)[-1]
            if len(all_seconds) >= MIN_RUNS_FOR_P90
            else None,
            ratio=None
            if reference_rounds is None
            else median(
                median(turn_seconds) / median(reference_seconds)
                for turn_seconds, reference_seconds in zip(rounds, reference_rounds, strict=True)
            ),
            peak_bytes=prepared_pass.peak_bytes,
        )
