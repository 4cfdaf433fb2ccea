"""What whole curves tell: how much a series gains, and how two of them lie at equal cost."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from scalesearch.ablations.rows import LEVEL, Row, final_accuracies
from scalesearch.ablations.spec import Ablation
from scalesearch.analysis import behind
from scalesearch.analysis.comparisons import holm
from scalesearch.analysis.pairs import Accuracies
from scalesearch.analysis.twoway import TwoWay, two_way
from scalesearch.errors import SearchError

GROWN = 1.01
"""Factor of cost from which on a network counts as dearer than another."""
STEPS = 33
"""Costs, evenly spaced by their logarithm, at which two curves are compared."""


@dataclass(frozen=True, slots=True)
class Gain:
    """From the cheapest network of a series to its dearest. ``gain``: in accuracy, with its 90%
    interval, None for a single seed. ``first``, ``last``: of the first and the last step, for each
    doubling of the realised cost."""

    baseline: str
    series: str
    low_factor: float
    high_factor: float
    gain: float
    low: float | None
    high: float | None
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much higher one curve is than another at equal realised cost, by straight lines between
    their points over the logarithm of the cost, in the mean over the costs that both have.

    ``low``, ``high``: the 90% interval, with the noise of the whole search, paired by seed.
    ``seeds``: behind each network.
    """

    baseline: str
    series: str
    against: str
    low_factor: float
    high_factor: float
    lead: float
    low: float
    high: float
    p: float
    p_corrected: float
    seeds: int


def gains(rows: Sequence[Row], records: Mapping[str, pd.DataFrame]) -> tuple[Gain, ...]:
    """Of each series with at least two networks of different cost."""
    found = []
    for (baseline, series), points in _curves(rows).items():
        if list(_slopes(points)):
            found.append(_gain(baseline, series, points, final_accuracies(records[baseline])))
    return tuple(found)


def overlaps(
    ablation: Ablation, rows: Sequence[Row], records: Mapping[str, pd.DataFrame]
) -> tuple[Overlap, ...]:
    """The series ``against`` over each other, where their costs overlap and the noise is known."""
    curves = _curves(rows)
    noises = {name: two_way(final_accuracies(table)) for name, table in records.items()}
    found = [
        overlap
        for (baseline, series), points in curves.items()
        if series != ablation.against and (leader := curves.get((baseline, str(ablation.against))))
        if (overlap := _overlap(points, leader, noises[baseline])) is not None
    ]
    corrected = holm([overlap.p for overlap in found])
    return tuple(
        replace(overlap, p_corrected=p) for overlap, p in zip(found, corrected, strict=True)
    )


def _curves(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Each series by rising cost, each network once."""

    def key(row: Row) -> tuple[str, str]:
        return row.baseline, row.series

    return {
        which: sorted({row.candidate: row for row in points}.values(), key=lambda row: row.factor)
        for which, points in ((k, list(g)) for k, g in groupby(rows, key))
    }


def _gain(baseline: str, series: str, points: Sequence[Row], accuracy: Accuracies) -> Gain:
    cheapest, dearest = points[0], points[-1]
    low = high = None
    try:
        lead = behind(accuracy, dearest.candidate, cheapest.candidate, level=LEVEL)
        low, high = lead.low, lead.high
    except SearchError:  # a single seed
        pass
    slopes = list(_slopes(points))
    return Gain(
        baseline=baseline,
        series=series,
        low_factor=cheapest.factor,
        high_factor=dearest.factor,
        gain=dearest.accuracy - cheapest.accuracy,
        low=low,
        high=high,
        first=slopes[0],
        last=slopes[-1],
    )


def _slopes(points: Sequence[Row]) -> Iterator[float]:
    for one, other in pairwise(points):
        if other.factor > one.factor * GROWN:
            yield (other.accuracy - one.accuracy) / math.log2(other.factor / one.factor)


def _overlap(points: Sequence[Row], leader: Sequence[Row], noise: TwoWay) -> Overlap | None:
    low = max(points[0].factor, leader[0].factor)
    high = min(points[-1].factor, leader[-1].factor)
    if high <= low * GROWN or noise.variance is None:
        return None
    costs = np.linspace(np.log(low), np.log(high), STEPS)
    # The lead is a weighted sum of networks' accuracies; one that is on both curves cancels out.
    weights = np.zeros(len(noise.rows))
    for curve, sign in ((leader, 1.0), (points, -1.0)):
        for row, weight in zip(curve, _weights(curve, costs), strict=True):
            weights[noise.rows.index(row.candidate)] += sign * weight
    lead = float(weights @ noise.row_effects)
    counts = noise.filled.sum(axis=1)
    error = float(np.sqrt(noise.variance * (weights**2 / counts).sum()))
    reach = float(stdtrit(noise.df, 1 - LEVEL / 2)) * error
    return Overlap(
        baseline=points[0].baseline,
        series=points[0].series,
        against=leader[0].series,
        low_factor=low,
        high_factor=high,
        lead=lead,
        low=lead - reach,
        high=lead + reach,
        p=float(2 * stdtr(noise.df, -abs(lead) / error)) if error > 0 else float(lead == 0),
        p_corrected=1.0,
        seeds=int(counts.max()),
    )


def _weights(curve: Sequence[Row], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point's part in the mean of the curve over these costs (logarithms); they sum to one."""
    own = np.log([row.factor for row in curve])
    each = [np.interp(costs, own, unit).mean() for unit in np.eye(len(curve))]
    return np.array(each)
