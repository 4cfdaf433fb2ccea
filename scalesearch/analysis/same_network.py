"""The coefficients that rounding makes one network of."""

import bisect
from collections.abc import Callable
from typing import Any

from scalesearch.architectures import Architecture
from scalesearch.architectures.levels import depth_levels, width_level
from scalesearch.architectures.scale import scaled_widths
from scalesearch.rounding import Rounding
from scalesearch.scaling import Multipliers

TOLERANCE = 1e-6


def same_network(
    baseline: Architecture, rounding: Rounding, multipliers: Multipliers
) -> dict[str, tuple[float, float]]:
    """The alpha, beta and gamma, each for itself, that at phi = 1 give the depth, the channels and
    the pixels of a network with these effective multipliers.

    Left out is an axis whose multiplier no coefficient gives under this rounding.
    """
    intervals = {
        "alpha": _depth(baseline, rounding, multipliers.depth),
        "beta": _width(baseline, rounding, multipliers.width),
        "gamma": _resolution(baseline, rounding, multipliers.resolution),
    }
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _depth(baseline: Architecture, rounding: Rounding, depth: float) -> tuple[float, float] | None:
    # Rounded down, a depth is given by more than it comes to.
    levels = depth_levels(baseline, rounding, min(1.0, depth), 2 * max(1.0, depth))
    return next(((level.low, level.high) for level in levels if abs(level.multiplier - depth) < TOLERANCE), None)


def _width(baseline: Architecture, rounding: Rounding, width: float) -> tuple[float, float] | None:
    if abs(width - 1) < TOLERANCE:  # a level of its own, which tells no interval
        edges = rounding.width_edges(baseline.unrounded_widths, 2.0)
        return _constant_interval(edges, lambda multiplier: scaled_widths(baseline, multiplier, rounding), 1.0)
    level = width_level(baseline, rounding, width)
    return (level.low, level.high) if abs(level.multiplier - width) < TOLERANCE else None


def _resolution(
    baseline: Architecture, rounding: Rounding, resolution: float
) -> tuple[float, float] | None:
    own, step = baseline.resolution, rounding.resolution_multiple
    max_count = int(own * max(1.0, resolution) / step) + 2
    edges = {(count + 0.5) * step / own for count in range(max_count)}
    pixels = rounding.pixels(own * resolution)
    if abs(pixels / own - resolution) > TOLERANCE:
        return None
    return _constant_interval(edges, lambda multiplier: rounding.pixels(own * multiplier), resolution)


def _constant_interval(edges: set[float], value_at: Callable[[float], Any], value: float) -> tuple[float, float]:
    """The interval between edges about ``value`` in which ``at`` does not change."""
    bounds = [0.0, *sorted(edges)]
    last = min(bisect.bisect_right(bounds, value), len(bounds) - 1)
    first, reference = last - 1, value_at(value)
    while first and value_at((bounds[first - 1] + bounds[first]) / 2) == reference:
        first -= 1
    while last + 1 < len(bounds) and value_at((bounds[last] + bounds[last + 1]) / 2) == reference:
        last += 1
    return bounds[first], bounds[last]
