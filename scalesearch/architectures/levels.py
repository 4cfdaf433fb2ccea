"""The distinct whole-number settings of each axis: block counts, channels, pixels.

Multipliers are real numbers and networks are not: every alpha in (1, 1.25] gives B0 the same
depth under the official rounding. A level is one setting with the multiplier it amounts to.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.scale import rules, scaled_widths
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling import Rounding

Setting = TypeVar("Setting")


@dataclass(frozen=True, slots=True)
class Level(Generic[Setting]):
    """One setting of an axis, its multiplier, and the interval of multipliers that give it."""

    setting: Setting
    multiplier: float
    low: float
    high: float


def depth_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[Level[tuple[int, ...]]]:
    """Blocks per stage for every depth in [low, high]: blocks relative to the baseline's."""
    rounding = rules(baseline, rounding)
    edges = {1.0} | rounding.depth_edges(baseline.repeats, high)
    found = _constant(edges, lambda depth: rounding.repeats(baseline.repeats, depth), high)
    levels = (
        Level(repeats, sum(repeats) / baseline.blocks, first, last)
        for repeats, first, last in found
    )
    return [level for level in levels if _between(low, level.multiplier, high)]


def width_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[Level[tuple[int, ...]]]:
    """Channels (``Architecture.widths``) for every width in [low, high].

    A level's multiplier is the middle of the interval that gives it, and 1 for the baseline's own.
    """
    edges = {1.0} | rounding.width_edges(baseline.exact, high)
    found = _constant(edges, lambda width: scaled_widths(baseline, width, rounding), high)
    levels = [
        Level(widths, (first + last) / 2, first, last)
        for widths, first, last in found
        if widths != baseline.widths
    ]
    levels.append(Level(baseline.widths, 1.0, 1.0, 1.0))
    kept = (level for level in levels if _between(low, level.multiplier, high))
    return sorted(kept, key=lambda level: level.multiplier)


def width_level(baseline: Architecture, rounding: Rounding, width: float) -> Level[tuple[int, ...]]:
    """The level that a width multiplier falls into."""
    widths = scaled_widths(baseline, width, rounding)
    if widths == baseline.widths:
        return Level(widths, 1.0, 1.0, 1.0)
    edges = {1.0} | rounding.width_edges(baseline.exact, 2 * width)
    bounds = [0.0, *sorted(edges)]
    last = bisect.bisect_right(bounds, width)
    first = last - 1
    while first and scaled_widths(baseline, _middle(bounds, first - 1), rounding) == widths:
        first -= 1
    while scaled_widths(baseline, _middle(bounds, last), rounding) == widths:
        last += 1
    low, high = bounds[first], bounds[last]
    return Level(widths, (low + high) / 2, low, high)


def _middle(bounds: list[float], index: int) -> float:
    return (bounds[index] + bounds[index + 1]) / 2


def resolution_levels(
    baseline: Architecture | Foreign, rounding: Rounding, low: float, high: float
) -> list[Level[int]]:
    """Pixels per side in [low, high] times the baseline's: its own and the rounding's multiples."""
    own, step = baseline.resolution, rounding.resolution_multiple
    most = min(int(own * high + 1e-9), rounding.resolution_cap or int(own * high + 1e-9))
    sizes = sorted({own, *range(step, most + 1, step)})
    levels = (Level(size, size / own, size / own, size / own) for size in sizes)
    return [level for level in levels if _between(low, level.multiplier, high)]


def _between(low: float, multiplier: float, high: float) -> bool:
    return low - 1e-9 <= multiplier <= high + 1e-9


def _constant(
    edges: set[float], at: Callable[[float], Setting], high: float
) -> Iterator[tuple[Setting, float, float]]:
    """Each distinct setting with its first and last multiplier, the last one begun by ``high``."""
    bounds = [0.0, *sorted(edges), max(edges) + 1.0]
    first, setting = 0.0, at(bounds[1] / 2)
    for left, right in pairwise(bounds):
        here = at((left + right) / 2)
        if here != setting:
            yield setting, first, left
            if left > high:
                return
            first, setting = left, here
    yield setting, first, bounds[-1]
