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

    ``low``, ``high``: the 90% interval over ``seeds``, each of which has its own pair of curves.
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
    """The series ``against`` over each other, where their costs overlap and two seeds have both."""
    curves = _curves(rows)
    found = [
        overlap
        for (baseline, series), points in curves.items()
        if series != ablation.against and (leader := curves.get((baseline, str(ablation.against))))
        if (overlap := _overlap(points, leader, final_accuracies(records[baseline]))) is not None
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


def _overlap(points: Sequence[Row], leader: Sequence[Row], accuracy: Accuracies) -> Overlap | None:
    low = max(points[0].factor, leader[0].factor)
    high = min(points[-1].factor, leader[-1].factor)
    seeds = set.intersection(*(set(accuracy[row.candidate]) for row in (*points, *leader)))
    if high <= low or len(seeds) < 2:
        return None
    costs = np.linspace(np.log(low), np.log(high), STEPS)
    leads = np.array(
        [
            np.mean(_along(leader, accuracy, seed, costs) - _along(points, accuracy, seed, costs))
            for seed in sorted(seeds)
        ]
    )
    error = float(leads.std(ddof=1)) / len(leads) ** 0.5
    df = len(leads) - 1
    reach = float(stdtrit(df, 1 - LEVEL / 2)) * error
    lead = float(leads.mean())
    return Overlap(
        baseline=points[0].baseline,
        series=points[0].series,
        against=leader[0].series,
        low_factor=low,
        high_factor=high,
        lead=lead,
        low=lead - reach,
        high=lead + reach,
        p=float(2 * stdtr(df, -abs(lead) / error)) if error > 0 else float(lead == 0),
        p_corrected=1.0,
        seeds=len(leads),
    )


def _along(
    points: Sequence[Row], accuracy: Accuracies, seed: int, costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    own = np.log([row.factor for row in points])
    heights = [accuracy[row.candidate][seed] for row in points]
    between: NDArray[np.float64] = np.interp(costs, own, heights)
    return between
