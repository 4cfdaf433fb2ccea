"""The cost of every combination of depth, width and resolution at once.

The cost of a network is a sum over its stages of a first block and ``repeats - 1`` equal ones,
each linear in pixels. So a million networks are counted by one pass over (width, resolution)
pairs and one small matrix product for each depth; memory does not grow with the number of depths.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scalesearch.architectures.budget import Budget, Measure
from scalesearch.architectures.cost import BLOCK_TERMS, BlockTerms, cost
from scalesearch.architectures.levels import (
    Level,
    depth_levels,
    resolution_levels,
    width_levels,
)
from scalesearch.architectures.scale import scaled
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling import Multipliers, Rounding

Counts: TypeAlias = NDArray[np.float64]
"""Whole numbers below 2**53: exact in float64, where matrix products are fast."""


@dataclass(frozen=True, slots=True)
class Grid:
    """All levels of the three axes of one baseline."""

    baseline: Architecture
    depths: list[Level[tuple[int, ...]]]
    widths: list[Level[tuple[int, ...]]]
    resolutions: list[Level[int]]

    @property
    def size(self) -> int:
        """How many networks the grid holds."""
        return len(self.depths) * len(self.widths) * len(self.resolutions)

    def costs(self, measure: Measure) -> Iterator[Counts]:
        """For each depth level the (width, resolution) matrix of what the networks cost."""
        once, again = _per_block(self.baseline, self.widths, self.resolutions, measure)
        for depth in self.depths:
            repeated = np.array(depth.setting, dtype=np.float64) - 1
            yield once + np.tensordot(repeated, again, axes=1)


def grid_around(baseline: Architecture, budget: Budget) -> Grid:
    """The levels that a budget can reach: each axis from its smallest multiplier to the largest
    that alone spends the whole budget."""
    rounding = budget.profile
    bounds = (_bounds(baseline, budget, axis) for axis in ("depth", "width", "resolution"))
    (d_low, d_high), (w_low, w_high), (r_low, r_high) = bounds
    return Grid(
        baseline,
        depth_levels(baseline, rounding, d_low, d_high),
        width_levels(baseline, rounding, w_low, w_high),
        resolution_levels(baseline, rounding, r_low, r_high),
    )


def _bounds(baseline: Architecture, budget: Budget, axis: str) -> tuple[float, float]:
    """Lowest and highest multiplier of one axis. An axis that is free in the budget's measure
    (resolution, for parameters) stays where it is."""
    if not _spends(baseline, budget.measure, axis):
        return 1.0, 1.0
    if budget.factor < 1:
        return 0.0, 1.0 / budget.smallest
    others = {name: budget.smallest for name in ("depth", "width", "resolution") if name != axis}
    affordable = budget.limit * getattr(cost(baseline), budget.measure)
    high = budget.factor
    while _measured(baseline, budget, Multipliers(**{**others, axis: high})) <= affordable:
        high *= 1.25
    return budget.smallest, high


def _spends(baseline: Architecture, measure: Measure, axis: str) -> bool:
    own = getattr(cost(baseline), measure)
    doubled = scaled(baseline, Multipliers(**{axis: 2.0}), Rounding())
    return bool(getattr(cost(doubled), measure) > own)


def _measured(baseline: Architecture, budget: Budget, multipliers: Multipliers) -> int:
    measured: int = getattr(cost(scaled(baseline, multipliers, budget.profile)), budget.measure)
    return measured


def _per_block(
    baseline: Architecture,
    widths: list[Level[tuple[int, ...]]],
    resolutions: list[Level[int]],
    measure: Measure,
) -> tuple[Counts, Counts]:
    """Cost of the network with one block a stage (width, resolution), and of one more block in
    each stage (stage, width, resolution)."""
    channels = np.array([level.setting for level in widths], dtype=np.int64).T
    sides = np.array([level.setting for level in resolutions], dtype=np.int64)
    stem, *_, last, head = channels
    side = -(-sides // baseline.stem_stride)
    pixels = side * side
    ends = _stem_and_head(baseline, stem, last, head)
    more = []
    once = _weigh(ends[0], measure, pixels, pixels)
    for stage, before, after in zip(baseline.stages, channels[:-2], channels[1:-1], strict=True):
        side = -(-side // stage.stride)
        read, pixels = pixels, side * side
        terms = BLOCK_TERMS[stage.block]
        once = once + _weigh(terms(stage, before, after), measure, read, pixels)
        more.append(_weigh(terms(stage, after, after), measure, pixels, pixels))
    return once + _weigh(ends[1], measure, pixels, pixels), np.stack(more)


def _stem_and_head(
    baseline: Architecture,
    stem: NDArray[np.int64],
    last: NDArray[np.int64],
    head: NDArray[np.int64],
) -> tuple[BlockTerms, BlockTerms]:
    weights = baseline.in_channels * baseline.stem_kernel**2 * stem
    classes = baseline.num_classes
    classifier = head * classes
    return (
        BlockTerms(weights + 2 * stem, 0, weights, 0, 0, stem, 0),
        BlockTerms(
            last * head + 2 * head + classifier + classes,
            0,
            last * head,
            classifier,
            0,
            head,
            classes,
        ),
    )


def _weigh(
    terms: BlockTerms, measure: Measure, read: NDArray[np.int64], written: NDArray[np.int64]
) -> Counts:
    """One block's cost as (width, resolution), from its terms (width) and pixels (resolution)."""
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
