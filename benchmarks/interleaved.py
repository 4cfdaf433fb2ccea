"""Timing of several ways to do one thing, in turn within one run.

Everyone gets a turn in every round, and each round begins with another one, so that a machine that
is busy, hot or throttled slows all alike. A ratio is taken within each round; what is reported is
the median of the rounds' ratios, with the least and the greatest beside it.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do a group's work.

    ``side``: whose way it is (``ours``, ``plain``, ``timm``); of several ways of one side, the
    fastest speaks for it. ``turn``: does the work once and says how many images it took.
    """

    group: str
    side: str
    name: str
    turn: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Lap:
    """One turn: how many images in how many seconds."""

    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's turns: the first, which pays for whatever comes but once, and one a round."""

    group: str
    side: str
    name: str
    first: Lap
    laps: tuple[Lap, ...]

    @property
    def images_per_second(self) -> float:
        return statistics.median(lap.images_per_second for lap in self.laps)

    @property
    def startup_seconds(self) -> float:
        """What the first turn took longer than a usual one: compilation, capture, warm-up."""
        return max(0.0, self.first.seconds - self.first.images / self.images_per_second)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast, over the rounds."""

    median: float
    low: float
    high: float


def measured(
    contenders: Sequence[Contender], device: torch.device, rounds: int, seconds: float
) -> Iterator[Measured]:
    """Each contender's turns over ``rounds``; fewer, but at least 3, once ``seconds`` are over."""
    began = time.perf_counter()
    firsts = [_lap(contender, device) for contender in contenders]
    laps: list[list[Lap]] = [[] for _ in contenders]
    for count in range(rounds):
        if count >= LEAST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for position in range(len(contenders)):
            index = (position + count) % len(contenders)
            laps[index].append(_lap(contenders[index], device))
    for contender, first, own in zip(contenders, firsts, laps, strict=True):
        yield Measured(contender.group, contender.side, contender.name, first, tuple(own))


def ratio(one: Measured, other: Measured) -> Ratio:
    """How many times as fast ``one`` is as ``other``; both from the same rounds."""
    each = [
        a.images_per_second / b.images_per_second for a, b in zip(one.laps, other.laps, strict=True)
    ]
    return Ratio(statistics.median(each), min(each), max(each))


def fastest(found: Sequence[Measured], group: str, side: str) -> Measured | None:
    """The fastest of a side's ways in a group; None where it takes no part."""
    own = [one for one in found if (one.group, one.side) == (group, side)]
    return max(own, key=lambda one: one.images_per_second, default=None)


def _lap(contender: Contender, device: torch.device) -> Lap:
    synchronise(device)
    began = time.perf_counter()
    images = contender.turn()
    synchronise(device)
    return Lap(images, time.perf_counter() - began)


def synchronise(device: torch.device) -> None:
    """Wait for all that was asked of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
