"""Grid of all distinct block counts, channels and pixels, with costs.

Multipliers are real numbers and networks are not: every alpha in (1, 1.25] gives B0 the same depth
under the official rounding. A level is one value of an axis with its multiplier.

The cost of a network is a sum over its stages of a first block and ``repeats - 1`` equal ones,
each linear in pixels. So a million networks are counted by one pass over (width, resolution) pairs
and one small matrix product for each depth; memory does not grow with the number of depths.
"""

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from scalesearch.architectures.cost import BlockTerms, network_parts
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import (
    CountedMeasure,
    LatencyModel,
    Measure,
    require_latency_model,
)
from scalesearch.architectures.scaled import rounding_with_fixed_stages, scale, scaled_widths
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import Rounding

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AxisLevel(Generic[Value]):
    """A value of an axis (blocks, channels, pixels) and its multipliers."""

    value: Value
    multiplier: float
    low: float
    high: float


def depth_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[AxisLevel[tuple[int, ...]]]:
    """Blocks per stage for every depth in [low, high]."""
    rounding = rounding_with_fixed_stages(baseline, rounding)
    edges = {1.0} | rounding.depth_edges(baseline.repeats, high)
    intervals = _constant_intervals(
        edges, lambda depth: rounding.repeats(baseline.repeats, depth), high
    )
    levels = (
        AxisLevel(repeats, sum(repeats) / baseline.num_blocks, first, last)
        for repeats, first, last in intervals
    )
    return [level for level in levels if _is_between(low, level.multiplier, high)]


def width_levels(
    baseline: Architecture, rounding: Rounding, low: float, high: float
) -> list[AxisLevel[tuple[int, ...]]]:
    """Channels (``Architecture.widths``) for every width in [low, high].

    A level's multiplier is the middle of its interval, and 1 for the baseline's own.
    """
    edges = {1.0} | rounding.width_edges(baseline.unrounded_widths, high)
    intervals = _constant_intervals(
        edges, lambda width: scaled_widths(baseline, width, rounding), high
    )
    levels = [
        AxisLevel(widths, (first + last) / 2, first, last)
        for widths, first, last in intervals
        if widths != baseline.widths
    ]
    levels.append(AxisLevel(baseline.widths, 1.0, 1.0, 1.0))
    in_range = (level for level in levels if _is_between(low, level.multiplier, high))
    return sorted(in_range, key=lambda level: level.multiplier)


def width_level(
    baseline: Architecture, rounding: Rounding, width: float
) -> AxisLevel[tuple[int, ...]]:
    """Level of a width multiplier."""
    widths = scaled_widths(baseline, width, rounding)
    if widths == baseline.widths:
        return AxisLevel(widths, 1.0, 1.0, 1.0)
    edges = {1.0} | rounding.width_edges(baseline.unrounded_widths, 2 * width)
    bounds = [0.0, *sorted(edges)]
    last = bisect.bisect_right(bounds, width)
    first = last - 1
    while (
        first and scaled_widths(baseline, _interval_middle(bounds, first - 1), rounding) == widths
    ):
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
    """Pixels per side in [low, high] times the baseline's: its own and the rounding's."""
    own_pixels, step = baseline.resolution, rounding.resolution_multiple
    max_pixels = min(
        int(own_pixels * high + 1e-9), rounding.resolution_cap or int(own_pixels * high + 1e-9)
    )
    sizes = sorted({own_pixels, *range(step, max_pixels + 1, step)})
    levels = (
        AxisLevel(size, size / own_pixels, size / own_pixels, size / own_pixels) for size in sizes
    )
    return [level for level in levels if _is_between(low, level.multiplier, high)]


def _is_between(low: float, multiplier: float, high: float) -> bool:
    return low - 1e-9 <= multiplier <= high + 1e-9


def _constant_intervals(
    edges: set[float], value_at: Callable[[float], Value], high: float
) -> Iterator[tuple[Value, float, float]]:
    """Each distinct value with its first and last multiplier; the last starts by ``high``."""
    bounds = [0.0, *sorted(edges), max(edges) + 1.0]
    first, value = 0.0, value_at(bounds[1] / 2)
    for left, right in pairwise(bounds):
        current = value_at((left + right) / 2)
        if current != value:
            yield value, first, left
            if left > high:
                return
            first, value = left, current
    yield value, first, bounds[-1]


CostArray: TypeAlias = NDArray[np.float64]
"""Integers below 2**53: exact in float64, where matrix products are fast. Or seconds."""


MAX_COMBINATIONS = 10**9
"""Combinations that are counted without a question."""


@dataclass(frozen=True, slots=True)
class Grid:
    """All levels of the three axes of one baseline."""

    baseline: Architecture
    depths: list[AxisLevel[tuple[int, ...]]]
    widths: list[AxisLevel[tuple[int, ...]]]
    resolutions: list[AxisLevel[int]]

    def __post_init__(self) -> None:
        _require_equal_blocks(self.baseline)

    @property
    def size(self) -> int:
        """Number of networks in the grid."""
        return len(self.depths) * len(self.widths) * len(self.resolutions)

    def costs(self, measure: Measure, latency: LatencyModel | None = None) -> Iterator[CostArray]:
        """(width, resolution) matrix of costs for each depth level.

        ``latency``: model that predicts it, if it is the measure.
        """
        if measure == "latency":
            yield from self._seconds(require_latency_model(latency))
            return
        single_block_cost, extra_block_costs = _block_costs(
            self.baseline, self.widths, self.resolutions, measure
        )
        for depth in self.depths:
            extra_blocks = np.array(depth.value, dtype=np.float64) - 1
            yield single_block_cost + np.tensordot(extra_blocks, extra_block_costs, axes=1)

    def _seconds(self, latency: LatencyModel) -> Iterator[CostArray]:
        counted = zip(self.depths, self.costs("macs"), self.costs("activations"), strict=True)
        for depth, macs, activations in counted:
            yield latency.seconds(macs, activations, sum(depth.value))


def reachable_grid(baseline: Architecture, budget: Budget) -> Grid:
    """Levels that a budget can reach.

    Each axis goes from its smallest multiplier to the largest that alone spends the whole budget.
    """
    _require_equal_blocks(baseline)
    rounding = budget.rounding_profile
    bounds = (_axis_bounds(baseline, budget, axis) for axis in ("depth", "width", "resolution"))
    (d_low, d_high), (w_low, w_high), (r_low, r_high) = bounds
    # Rough upper bound of the values of each axis, before any is listed.
    rough_sizes = (
        baseline.num_blocks * d_high,
        sum(baseline.widths) * w_high / rounding.divisor,
        baseline.resolution * r_high / rounding.resolution_multiple,
    )
    if math.prod(rough_sizes) > MAX_COMBINATIONS:
        raise ArchitectureError(
            f"budget: {budget.factor:g}x the {budget.measure} of this baseline leaves more than "
            f"{MAX_COMBINATIONS:,} combinations to count; take a smaller factor, or the one "
            "network along "
            "given coefficients (family, mode matched)"
        )
    return Grid(
        baseline,
        depth_levels(baseline, rounding, d_low, d_high),
        width_levels(baseline, rounding, w_low, w_high),
        resolution_levels(baseline, rounding, r_low, r_high),
    )


def _require_equal_blocks(baseline: Architecture) -> None:
    """Refuse dense stages: each block reads more than the one before."""
    if any(stage.block == "dense" for stage in baseline.stages):
        raise ArchitectureError(
            "baseline: need stages of equal blocks to list the networks of one cost, got dense "
            "ones, whose cost grows with each block before them; scale by multipliers (cost "
            "--depth, --width, --resolution; family, mode exact), or take another baseline"
        )


def _axis_bounds(baseline: Architecture, budget: Budget, axis: str) -> tuple[float, float]:
    """Lowest and highest multiplier of an axis.

    An axis that is free in the budget's measure (resolution, for parameters) stays at 1.
    """
    if not _is_spent_on(baseline, budget, axis):
        return 1.0, 1.0
    if budget.factor < 1:
        return 0.0, 1.0 / budget.smallest
    other_axes = {
        name: budget.smallest for name in ("depth", "width", "resolution") if name != axis
    }
    affordable = budget.max_factor * budget.cost_of(baseline)
    high = 1.0
    ceiling = (
        _resolution_ceiling(baseline, budget.rounding_profile) if axis == "resolution" else math.inf
    )
    while (
        high < ceiling
        and _scaled_cost(baseline, budget, Multipliers(**{**other_axes, axis: high})) <= affordable
    ):
        high *= 1.25
    return budget.smallest, high


def _resolution_ceiling(baseline: Architecture, rounding: Rounding) -> float:
    """Multiplier from which a capped resolution no longer grows."""
    cap = rounding.resolution_cap
    return math.inf if cap is None else max(1.0, cap / baseline.resolution)


def _is_spent_on(baseline: Architecture, budget: Budget, axis: str) -> bool:
    doubled = _scaled_cost(baseline, budget, Multipliers(**{axis: 2.0}))
    return doubled > _scaled_cost(baseline, budget, Multipliers())


def _scaled_cost(baseline: Architecture, budget: Budget, multipliers: Multipliers) -> float:
    return budget.cost_of(scale(baseline, multipliers, budget.rounding_profile))


def _block_costs(
    baseline: Architecture,
    widths: list[AxisLevel[tuple[int, ...]]],
    resolutions: list[AxisLevel[int]],
    measure: CountedMeasure,
) -> tuple[CostArray, CostArray]:
    """Cost with one block a stage (width, resolution), and of one more block in each stage.

    The second array has the shape (stage, width, resolution).
    """
    channels = np.array([level.value for level in widths], dtype=np.int64).T
    sides = np.array([level.value for level in resolutions], dtype=np.int64)
    single_block_cost = np.zeros((len(widths), len(resolutions)))
    extra_block_costs = []
    for terms, read, written, repeated_stage in network_parts(baseline, tuple(channels), sides):
        part_cost = _part_cost(terms, measure, read, written)
        if repeated_stage is None:
            single_block_cost += part_cost
        else:
            extra_block_costs.append(part_cost)
    return single_block_cost, np.stack(extra_block_costs)


def _part_cost(
    terms: BlockTerms, measure: CountedMeasure, read: NDArray[np.int64], written: NDArray[np.int64]
) -> CostArray:
    """Cost of a block as (width, resolution), from its terms (width) and pixels (resolution)."""
    if measure == "params":
        columns = (0, 0, terms.params)
    elif measure == "macs":
        columns = (terms.macs_read, terms.macs_written, terms.macs_once)
    else:
        columns = (terms.activations_read, terms.activations_written, terms.activations_once)
    per_read, per_written, flat = (np.asarray(column, np.float64) for column in columns)
    ones = np.ones_like(read, np.float64)
    parts = ((per_read, read), (per_written, written), (flat, ones))
    total = sum(np.multiply.outer(np.atleast_1d(per), pixels) for per, pixels in parts)
    return np.asarray(total, np.float64)
