"""Drift of the best shares with the budget, from searches at several factors.

Compound scaling uses the same alpha, beta and gamma for every phi. That is a claim about shares: of
a budget F^phi, each axis gets the same share of the logarithm at every phi.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats
from scalesearch.analysis.observations import CandidateEstimates, candidate_estimates
from scalesearch.analysis.optimum import (
    Interval,
    Optimum,
    bootstrap_optima,
    curved_polynomial_fits,
    optimum_of_estimates,
)
from scalesearch.analysis.polynomials import AXES, best_fit
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class OptimumDifference:
    """The best shares at ``second_factor`` minus those at ``first_factor``, by axis.

    ``p``: p-value of equal best shares: how often bootstrap draws of the difference are as far
    from their centre, by Mahalanobis distance.
    """

    first_factor: float
    second_factor: float
    shares: dict[str, Interval]
    p: float

    @property
    def row(self) -> dict[str, Any]:
        """Return the two factors, the differences and p as a flat row."""
        return {
            "one": self.first_factor,
            "other": self.second_factor,
            **_share_columns(self.shares),
            "p": self.p,
        }


@dataclass(frozen=True, slots=True)
class FactorDrift:
    """The optima by factor, and their differences.

    ``optima``: by factor, where the candidates determine one. ``candidates``: their number by
    factor. ``differences``: of every two optima. ``has_drift``: whether any difference is
    significant at ``level``, corrected for their number; None with fewer than two optima.
    """

    optima: dict[float, Optimum]
    candidates: dict[float, int]
    differences: tuple[OptimumDifference, ...]
    has_drift: bool | None
    level: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row per factor: shares, and alpha, beta, gamma for twice the cost."""
        rows = []
        for factor, optimum in self.optima.items():
            row = {"factor": factor, "candidates": self.candidates[factor]}
            doubling = optimum.shares.coefficients(2.0)
            names = ("alpha", "beta", "gamma")
            rows.append(
                {
                    **row,
                    **_share_columns(optimum.share_intervals),
                    **{f"{name}_of_doubling": getattr(doubling, name) for name in names},
                }
            )
        return rows

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        if self.has_drift is None:
            return "fewer than two factors have enough candidates to compare their best shares"
        factors = ", ".join(f"{factor:g}x" for factor in self.optima)
        if not self.has_drift:
            widest = max(
                interval.width
                for difference in self.differences
                for interval in difference.shares.values()
            )
            return (
                f"no significant drift of the coefficients with phi between {factors}; the "
                f"intervals of the differences in shares are up to {widest:.2f} wide"
            )
        clearest = min(self.differences, key=lambda difference: difference.p)
        parts = [
            f"{axis} gets {interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
            for axis, interval in clearest.shares.items()
        ]
        return (
            f"the coefficients drift with phi: from {clearest.first_factor:g}x to "
            f"{clearest.second_factor:g}x {', '.join(parts)} (p {clearest.p:.2g})"
        )


def factor_drift(
    tables: Mapping[float, tuple[pd.DataFrame, int | None]], *, level: float = 0.1
) -> FactorDrift:
    """Return the drift over results tables by factor, each with its last epoch.

    A last epoch of None is the table's own. A table whose candidates do not determine a surface is
    left out, and a note says so. Raises SearchError for accuracies that are not finite.
    """
    optima_by_factor: dict[float, Optimum] = {}
    draws: dict[float, Floats] = {}
    counts, notes = {}, []
    for index, (factor, (records, epochs)) in enumerate(sorted(tables.items())):
        try:
            estimates = candidate_estimates(records, epochs=epochs)
            optima_by_factor[factor] = optimum_of_estimates(estimates, factor, level=level)
        except SearchError as error:
            if len(records) and not np.isfinite(records["accuracy"]).all():
                raise
            notes.append(f"{factor:g}x: {error}")
            continue
        counts[factor] = len(estimates.candidates)
        draws[factor] = _draws(estimates, index)
    pairs = list(combinations(optima_by_factor, 2))
    differences = tuple(
        _difference(first, second, optima_by_factor, draws, level) for first, second in pairs
    )
    return FactorDrift(
        optima=optima_by_factor,
        candidates=counts,
        differences=differences,
        has_drift=any(difference.p * len(pairs) <= level for difference in differences)
        if differences
        else None,
        level=level,
        notes=tuple(notes),
    )


def _draws(estimates: CandidateEstimates, seed: int) -> Floats:
    """Return bootstrap optima in an order that depends on the seed.

    Searches are independent, so the draws of two searches must not be paired.
    """
    fits = curved_polynomial_fits(estimates)
    draws = bootstrap_optima(estimates, fits, best_fit(fits))
    return draws[np.random.default_rng(seed + 1).permutation(len(draws))]


def _difference(
    first: float,
    second: float,
    optima_by_factor: Mapping[float, Optimum],
    draws: Mapping[float, Floats],
    level: float,
) -> OptimumDifference:
    count = min(len(draws[first]), len(draws[second]))
    differences_B3 = draws[second][:count] - draws[first][:count]
    points = [np.array(optima_by_factor[factor].shares.as_tuple()) for factor in (first, second)]
    value = points[1] - points[0]
    low, high = np.quantile(differences_B3, [level / 2, 1 - level / 2], axis=0)
    shares = {
        axis: Interval(float(estimate), float(min(lower, estimate)), float(max(upper, estimate)))
        for axis, estimate, lower, upper in zip(AXES, value, low, high, strict=True)
    }
    deviations = (differences_B3 - value)[:, :2]  # the third share follows
    metric = np.linalg.pinv(deviations.T @ deviations / count + ROUNDING_ERROR * np.eye(2))
    squared_distance = float(value[:2] @ metric @ value[:2])
    farther_count = int(
        (np.einsum("bi,ij,bj->b", deviations, metric, deviations) >= squared_distance).sum()
    )
    return OptimumDifference(first, second, shares, (farther_count + 1) / (count + 1))


def _share_columns(shares: Mapping[str, Interval]) -> dict[str, float]:
    row: dict[str, float] = {}
    for axis, interval in shares.items():
        row |= interval.columns(axis)
    return row
