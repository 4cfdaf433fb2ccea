"""Networks timed side by side: how long a batch takes, how that varies, and what memory it needs.

All networks of one batch size are measured in the same rounds, a turn each, and the reference has a
turn in every round. So a machine that gets hotter or busier does so for all, and the ratio to the
reference, taken round by round, hardly moves. The turn of a fast network begins with a pass that
does not count: it finds the caches as another network left them.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TypeAlias

import torch

from scalesearch.errors import ArchitectureError
from scalesearch.latency.passes import Mode, Pass, Unfit, passes
from scalesearch.latency.stopwatch import the_device, threads_set, wait
from scalesearch.nets import Entry

LEAST_RUNS = 100
LEAST_SECONDS = 1.0
"""A network is measured so often, or for so long, whichever comes first."""

FEWEST = 5
"""Passes of even the slowest network."""

ROUNDS = 20
"""Into so many its passes are divided, at most."""

SLOW = 0.2
"""Seconds of a pass that caches found cold do not matter to."""

TELLING = 10
"""Passes from which on a ninth decile says something."""

OnTurn: TypeAlias = Callable[[str, int, int], None]
"""What is being done, and how much of how much is done, in turns."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a network takes for a batch.

    ``mode``: ``graph`` replays a CUDA graph, which leaves out what launching costs. ``runs``:
    passes that counted. ``seconds``: their median, ``p90_seconds`` their ninth decile, None of
    fewer than ``TELLING``. ``ratio``: to the reference in the same mode, the median over rounds.
    ``peak_bytes``: what torch's allocator gave out at most, with weights and images; None where it
    does not tell. Where the batch does not fit, ``note`` says so and nothing else is known.
    """

    name: str
    batch_size: int
    mode: Mode
    runs: int = 0
    seconds: float | None = None
    p90_seconds: float | None = None
    ratio: float | None = None
    peak_bytes: int | None = None
    note: str = ""

    @property
    def images_per_second(self) -> float | None:
        return None if self.seconds is None else self.batch_size / self.seconds


def benchmark(
    entries: Sequence[Entry],
    *,
    reference: Entry,
    batch_sizes: Sequence[int] = (1,),
    device: str = "cpu",
    threads: int = 1,
    least_runs: int = LEAST_RUNS,
    least_seconds: float = LEAST_SECONDS,
    on_turn: OnTurn = lambda what, done, of: None,
) -> tuple[Timed, ...]:
    """Time each network at each batch size, the reference first, in float32 and channels_last.

    On a GPU each is also timed as a CUDA graph. Each is measured ``least_runs`` times or for
    ``least_seconds``, whichever comes first, but at least ``FEWEST`` times.
    Raises ArchitectureError for a device that is not there, and for a number out of range.
    """
    numbers = {"threads": threads, "runs": least_runs}
    for name, value in (*numbers.items(), *(("batch", size) for size in batch_sizes)):
        if value < 1:
            raise ArchitectureError(f"{name}: need at least 1, got {value}")
    if not 0 < least_seconds < math.inf:
        raise ArchitectureError(f"seconds: need a time above 0, got {least_seconds:g}")
    place = the_device(device)
    every = [reference, *(entry for entry in entries if entry != reference)]
    rows: list[Timed] = []
    with threads_set(threads), torch.inference_mode():
        for size in batch_sizes:
            ready: list[Pass | Unfit] = []
            for entry in every:
                on_turn(f"batch {size}: {entry.name} is warmed up", 0, 1)
                ready += passes(entry, size, place)
            fit = [one for one in ready if isinstance(one, Pass)]
            plan = _plan([one.seconds for one in fit], least_runs, least_seconds)
            measured = _in_turn(fit, plan, place, size, on_turn)
            rows += _rows(ready, measured, size)
            del ready, fit
            if place.type == "cuda":
                torch.cuda.empty_cache()
    return tuple(rows)


def _plan(seconds: Sequence[float], least_runs: int, least_seconds: float) -> tuple[int, list[int]]:
    """How many rounds, and how many passes of each network in each of them: the slowest decides
    the rounds."""
    wanted = [
        max(FEWEST, min(least_runs, math.ceil(least_seconds / max(one, 1e-9)))) for one in seconds
    ]
    rounds = min([ROUNDS, *wanted])
    return rounds, [math.ceil(one / rounds) for one in wanted]


def _in_turn(
    ready: Sequence[Pass],
    plan: tuple[int, list[int]],
    place: torch.device,
    size: int,
    on_turn: OnTurn,
) -> list[list[list[float]]]:
    """Seconds by network, round and pass."""
    rounds, counts = plan
    found: list[list[list[float]]] = [[] for _ in ready]
    for index in range(rounds):
        for own, (one, count) in zip(found, zip(ready, counts, strict=True), strict=True):
            if one.seconds < SLOW:
                one.run()
            own.append([_timed(one.run, place) for _ in range(count)])
        on_turn(f"batch {size}", index + 1, rounds)
    return found


def _timed(run: Callable[[], object], place: torch.device) -> float:
    wait(place)
    begun = time.perf_counter()
    run()
    wait(place)
    return time.perf_counter() - begun


def _rows(
    ready: Sequence[Pass | Unfit], measured: Sequence[list[list[float]]], size: int
) -> Iterator[Timed]:
    """Of every network, the reference first."""
    turns = iter(measured)
    reference: dict[Mode, list[list[float]]] = {}
    for one in ready:
        if isinstance(one, Unfit):
            yield Timed(one.name, size, one.mode, note=one.note)
            continue
        rounds = next(turns)
        if one.name == ready[0].name:
            reference.setdefault(one.mode, rounds)
        every = [seconds for turn in rounds for seconds in turn]
        beside = reference.get(one.mode)
        yield Timed(
            name=one.name,
            batch_size=size,
            mode=one.mode,
            runs=len(every),
            seconds=median(every),
            p90_seconds=quantiles(every, n=10)[-1] if len(every) >= TELLING else None,
            ratio=None
            if beside is None
            else median(
                median(own) / median(other) for own, other in zip(rounds, beside, strict=True)
            ),
            peak_bytes=one.peak_bytes,
        )
