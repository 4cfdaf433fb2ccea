"""The distinct whole-number settings of each axis: block counts, channels, pixels.

Multipliers are real numbers and networks are not: every alpha in (1, 1.25] gives B0 the same
depth under the official rounding. A level is one setting with the multiplier it amounts to.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from scalesearch.architectures.foreign import CustomModel
from scalesearch.architectures.scale import rounding_with_fixed_stages, scaled_widths
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling import Rounding

Setting = TypeVar("Setting")


@dataclass(frozen=True, slots=True)
class AxisLevel(Generic[Setting]):
    """One setting of an axis, its multiplier, and the interval of multipliers that give it."""

    setting: Setting
    multiplier: float
    low: float
    high: float


def depth_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[AxisLevel[tuple[int, ...]]]:
    """Blocks per stage for every depth in [low, high]: blocks relative to the baseline's."""
    rounding = rounding_with_fixed_stages(baseline, rounding)
    edges = {1.0} | rounding.depth_edges(baseline.repeats, high)
    intervals = _constant_intervals(edges, lambda depth: rounding.repeats(baseline.repeats, depth), high)
    levels = (
        AxisLevel(repeats, sum(repeats) / baseline.num_blocks, first, last)
        for repeats, first, last in intervals
    )
    return [level for level in levels if _is_between(low, level.multiplier, high)]


def width_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[AxisLevel[tuple[int, ...]]]:
    """Channels (``Architecture.widths``) for every width in [low, high].

    A level's multiplier is the middle of the interval that gives it, and 1 for the baseline's own.
    """
    edges = {1.0} | rounding.width_edges(baseline.unrounded_widths, high)
    intervals = _constant_intervals(edges, lambda width: scaled_widths(baseline, width, rounding), high)
    levels = [
        AxisLevel(widths, (first + last) / 2, first, last)
        for widths, first, last in intervals
        if widths != baseline.widths
    ]
    levels.append(AxisLevel(baseline.widths, 1.0, 1.0, 1.0))
    in_range = (level for level in levels if _is_between(low, level.multiplier, high))
    return sorted(in_range, key=lambda level: level.multiplier)


def width_level(baseline: Architecture, rounding: Rounding, width: float) -> AxisLevel[tuple[int, ...]]:
    """The level that a width multiplier falls into."""
    widths = scaled_widths(baseline, width, rounding)
    if widths == baseline.widths:
        return AxisLevel(widths, 1.0, 1.0, 1.0)
    edges = {1.0} | rounding.width_edges(baseline.unrounded_widths, 2 * width)
    bounds = [0.0, *sorted(edges)]
    last = bisect.bisect_right(bounds, width)
    first = last - 1
    while first and scaled_widths(baseline, _interval_middle(bounds, first - 1), rounding) == widths:
        first -= 1
    while scaled_widths(baseline, _interval_middle(bounds, last), rounding) == widths:
        last += 1
    low, high = bounds[first], bounds[last]
    return AxisLevel(widths, (low + high) / 2, low, high)


def _interval_middle(bounds: list[float], index: int) -> float:
    return (bounds[index] + bounds[index + 1]) / 2


def resolution_levels(
    baseline: Architecture | CustomModel, rounding: Rounding, low: float, high: float
) -> list[AxisLevel[int]]:
    """Pixels per side in [low, high] times the baseline's: its own and the rounding's multiples."""
    own_pixels, step = baseline.resolution, rounding.resolution_multiple
    max_pixels = min(int(own_pixels * high + 1e-9), rounding.resolution_cap or int(own_pixels * high + 1e-9))
    sizes = sorted({own_pixels, *range(step, max_pixels + 1, step)})
    levels = (AxisLevel(size, size / own_pixels, size / own_pixels, size / own_pixels) for size in sizes)
    return [level for level in levels if _is_between(low, level.multiplier, high)]


def _is_between(low: float, multiplier: float, high: float) -> bool:
    return low - 1e-9 <= multiplier <= high + 1e-9


def _constant_intervals(
    edges: set[float], setting_at: Callable[[float], Setting], high: float
) -> Iterator[tuple[Setting, float, float]]:
    """Each distinct setting with its first and last multiplier, the last one begun by ``high``."""
    bounds = [0.0, *sorted(edges), max(edges) + 1.0]
    first, setting = 0.0, setting_at(bounds[1] / 2)
    for left, right in pairwise(bounds):
        current = setting_at((left + right) / 2)
        if current != setting:
            yield setting, first, left
            if left > high:
                return
            first, setting = left, current
    yield setting, first, bounds[-1]
