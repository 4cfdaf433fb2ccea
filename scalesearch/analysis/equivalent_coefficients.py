"""The intervals of alpha, beta and gamma that round to the same network."""

import bisect
from collections.abc import Callable
from typing import Any

from scalesearch.architectures.scaled import scaled_widths
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.grid import depth_levels, width_level
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import Rounding

TOLERANCE = 1e-6


def equivalent_coefficients(
    baseline: Architecture, rounding: Rounding, multipliers: Multipliers
) -> dict[str, tuple[float, float]]:
    """Return the intervals of alpha, beta and gamma that give a network at phi = 1.

    Each interval holds one coefficient, whatever the others: the depth, channels or pixels of a
    network with these realised multipliers. An axis is left out if no coefficient gives its
    multiplier under this rounding.
    """
    intervals = {
        "alpha": _depth(baseline, rounding, multipliers.depth),
        "beta": _width(baseline, rounding, multipliers.width),
        "gamma": _resolution(baseline, rounding, multipliers.resolution),
    }
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _depth(baseline: Architecture, rounding: Rounding, depth: float) -> tuple[float, float] | None:
    # If depths are rounded down, larger coefficients give the same depth.
    levels = depth_levels(baseline, rounding, min(1.0, depth), 2 * max(1.0, depth))
    return next(
        ((level.low, level.high) for level in levels if abs(level.multiplier - depth) < TOLERANCE),
        None,
    )


def _width(baseline: Architecture, rounding: Rounding, width: float) -> tuple[float, float] | None:
    if abs(width - 1) < TOLERANCE:  # its level has no interval
        edges = rounding.width_edges(baseline.unrounded_widths, 2.0)
        return _constant_interval(
            edges, lambda multiplier: scaled_widths(baseline, multiplier, rounding), 1.0
        )
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
    return _constant_interval(
        edges, lambda multiplier: rounding.pixels(own * multiplier), resolution
    )


def _constant_interval(
    edges: set[float], value_at: Callable[[float], Any], value: float
) -> tuple[float, float]:
    """Return the interval around ``value`` in which ``value_at`` is constant."""
    bounds = [0.0, *sorted(edges)]
    last = min(bisect.bisect_right(bounds, value), len(bounds) - 1)
    first, reference = last - 1, value_at(value)
    while first and value_at((bounds[first - 1] + bounds[first]) / 2) == reference:
        first -= 1
    while last + 1 < len(bounds) and value_at((bounds[last] + bounds[last + 1]) / 2) == reference:
        last += 1
    return bounds[first], bounds[last]
