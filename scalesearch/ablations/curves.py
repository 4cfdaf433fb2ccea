"""Comparisons of whole curves: the gain of a series, and two series at equal cost."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from scalesearch.ablations.ablation_table import SIGNIFICANCE_LEVEL, AblationRow, final_accuracies
from scalesearch.ablations.spec import Ablation
from scalesearch.analysis.additive_model import AdditiveModel, additive_model
from scalesearch.analysis.comparisons import holm_correction
from scalesearch.analysis.paired import Accuracies, paired_difference
from scalesearch.errors import SearchError

MIN_COST_RATIO = 1.01
"""Ratio of costs from which one network counts as more expensive than another."""
COST_STEPS = 33
"""Number of costs, evenly spaced in their logarithm, at which two curves are compared."""


@dataclass(frozen=True, slots=True)
class SeriesGain:
    """The gain of a series from its cheapest network to its most expensive one."""

    baseline: str
    series: str
    low_factor: float
    high_factor: float
    gain: float
    """Gain of accuracy."""
    low: float | None
    """Lower bound of its 90% interval; None for a single seed."""
    high: float | None
    first: float
    """Gain of the first step for each doubling of the realised cost."""
    last: float
    """Gain of the last step for each doubling of the realised cost."""


@dataclass(frozen=True, slots=True)
class CurveComparison:
    """The lead of one curve over another at equal realised cost.

    Curves are interpolated linearly over the logarithm of the cost; the lead is the mean over the
    costs that both curves have.
    """

    baseline: str
    series: str
    against: str
    low_factor: float
    high_factor: float
    lead: float
    low: float
    """Lower bound of the 90% interval, with the noise of the whole search, paired by seed."""
    high: float
    p: float
    p_corrected: float
    seeds: int
    """Seeds of each network."""


def series_gains(
    rows: Sequence[AblationRow], records: Mapping[str, pd.DataFrame]
) -> tuple[SeriesGain, ...]:
    """Compute the gain of each series with at least two networks of different cost."""
    result = []
    for (baseline, series), curve in _curves_by_series(rows).items():
        if list(_gain_per_doubling(curve)):
            result.append(
                _series_gain(baseline, series, curve, final_accuracies(records[baseline]))
            )
    return tuple(result)


def curve_comparisons(
    ablation: Ablation, rows: Sequence[AblationRow], records: Mapping[str, pd.DataFrame]
) -> tuple[CurveComparison, ...]:
    """Compare the series ``against`` with each other one at overlapping costs."""
    curves = _curves_by_series(rows)
    noise_by_baseline = {
        name: additive_model(final_accuracies(table)) for name, table in records.items()
    }
    comparisons = [
        comparison
        for (baseline, series), curve in curves.items()
        if series != ablation.against
        and (leading_curve := curves.get((baseline, str(ablation.against))))
        if (comparison := _curve_comparison(curve, leading_curve, noise_by_baseline[baseline]))
        is not None
    ]
    corrected_p = holm_correction([comparison.p for comparison in comparisons])
    return tuple(
        replace(comparison, p_corrected=p)
        for comparison, p in zip(comparisons, corrected_p, strict=True)
    )


def _curves_by_series(rows: Sequence[AblationRow]) -> dict[tuple[str, str], list[AblationRow]]:
    """Sort each series by cost, with each network once."""
    return {
        series_key: sorted(
            {row.candidate: row for row in curve}.values(), key=lambda row: row.factor
        )
        for series_key, curve in groupby(rows, lambda row: (row.baseline, row.series))
    }


def _series_gain(
    baseline: str, series: str, curve: Sequence[AblationRow], accuracies: Accuracies
) -> SeriesGain:
    cheapest, dearest = curve[0], curve[-1]
    low = high = None
    try:
        difference = paired_difference(
            accuracies, dearest.candidate, cheapest.candidate, level=SIGNIFICANCE_LEVEL
        )
        low, high = difference.low, difference.high
    except SearchError:  # a single seed
        pass
    slopes = list(_gain_per_doubling(curve))
    return SeriesGain(
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


def _gain_per_doubling(curve: Sequence[AblationRow]) -> Iterator[float]:
    for cheaper, dearer in pairwise(curve):
        if dearer.factor > cheaper.factor * MIN_COST_RATIO:
            yield (dearer.accuracy - cheaper.accuracy) / math.log2(dearer.factor / cheaper.factor)


def _curve_comparison(
    own_curve: Sequence[AblationRow], leading_curve: Sequence[AblationRow], model: AdditiveModel
) -> CurveComparison | None:
    low = max(own_curve[0].factor, leading_curve[0].factor)
    high = min(own_curve[-1].factor, leading_curve[-1].factor)
    if high <= low * MIN_COST_RATIO or model.variance is None:
        return None
    costs = np.linspace(np.log(low), np.log(high), COST_STEPS)
    # The lead is a weighted sum of accuracies; a network on both curves cancels out.
    weights = np.zeros(len(model.rows))
    for each_curve, sign in ((leading_curve, 1.0), (own_curve, -1.0)):
        for row, weight in zip(each_curve, _interpolation_weights(each_curve, costs), strict=True):
            weights[model.rows.index(row.candidate)] += sign * weight
    lead = float(weights @ model.row_effects)
    counts = model.has_value.sum(axis=1)
    standard_error = float(np.sqrt(model.variance * (weights**2 / counts).sum()))
    half_width = float(stdtrit(model.df, 1 - SIGNIFICANCE_LEVEL / 2)) * standard_error
    return CurveComparison(
        baseline=own_curve[0].baseline,
        series=own_curve[0].series,
        against=leading_curve[0].series,
        low_factor=low,
        high_factor=high,
        lead=lead,
        low=lead - half_width,
        high=lead + half_width,
        p=float(2 * stdtr(model.df, -abs(lead) / standard_error))
        if standard_error > 0
        else float(lead == 0),
        p_corrected=1.0,
        seeds=int(counts.max()),
    )


def _interpolation_weights(
    curve: Sequence[AblationRow], costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight of each point in the mean of the curve over log costs; they sum to one."""
    log_costs = np.log([row.factor for row in curve])
    weights = [np.interp(costs, log_costs, one_hot).mean() for one_hot in np.eye(len(curve))]
    return np.array(weights)
