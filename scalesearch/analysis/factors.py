"""Whether the best division of a budget drifts with its size: searches at several factors.

Compound scaling takes one alpha, beta and gamma for every phi. That is a claim about shares: with
F^phi to spend, the same part of the log of it goes to each axis.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from scalesearch.analysis.mixture import AXES
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.optimum import Interval, Optimum, curved, of_observations, optima
from scalesearch.analysis.twoway import EXACT, Floats
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the best shares at the factor ``other`` from those at ``one``, by axis, with intervals.

    ``p``: of shares so far apart, or further, where the best are the same: how often the draws of
    the difference are as far from their middle, in their own measure.
    """

    one: float
    other: float
    shares: dict[str, Interval]
    p: float

    @property
    def row(self) -> dict[str, Any]:
        return {"one": self.one, "other": self.other, **_flat(self.shares), "p": self.p}


@dataclass(frozen=True, slots=True)
class FactorDrift:
    """``optima``: the best shares by factor, where candidates determine them, of so many
    ``candidates``. ``differences``: of each two. ``drifts``: whether any is clear at the
    ``level``, shared among them; None with fewer than two optima."""

    optima: dict[float, Optimum]
    candidates: dict[float, int]
    differences: tuple[Difference, ...]
    drifts: bool | None
    level: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each factor: shares, and alpha, beta, gamma of one doubling of cost."""
        rows = []
        for factor, found in self.optima.items():
            row = {"factor": factor, "candidates": self.candidates[factor]}
            doubling = found.shares.coefficients(2.0)
            names = ("alpha", "beta", "gamma")
            rows.append(
                {
                    **row,
                    **_flat(found.share_intervals),
                    **{f"{name}_of_doubling": getattr(doubling, name) for name in names},
                }
            )
        return rows

    @property
    def words(self) -> str:
        """What it comes to, in a sentence."""
        if self.drifts is None:
            return "fewer than two factors have candidates enough to compare what is best at each"
        factors = ", ".join(f"{factor:g}x" for factor in self.optima)
        if not self.drifts:
            widest = max(
                one.width for difference in self.differences for one in difference.shares.values()
            )
            return (
                f"no drift of the coefficients with phi is shown between {factors}; a difference "
                f"is known to an interval of up to {widest:.2f} in shares"
            )
        clear = min(self.differences, key=lambda one: one.p)
        parts = [
            f"{axis} gets {interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
            for axis, interval in clear.shares.items()
        ]
        return (
            f"the coefficients drift with phi: from {clear.one:g}x to {clear.other:g}x "
            f"{', '.join(parts)} (p {clear.p:.2g})"
        )


def factor_drift(
    tables: Mapping[float, tuple[pd.DataFrame, int | None]], *, level: float = 0.1
) -> FactorDrift:
    """The drift over results tables by factor, each with its last epoch (None: the table's).

    A table whose candidates do not determine a surface is left out, and a note says so. Raises
    SearchError for accuracies that are not finite.
    """
    found: dict[float, Optimum] = {}
    drawn: dict[float, Floats] = {}
    counts, notes = {}, []
    for place, (factor, (records, epochs)) in enumerate(sorted(tables.items())):
        try:
            observed = observations(records, epochs=epochs)
            found[factor] = of_observations(observed, factor, level=level)
        except SearchError as error:
            if len(records) and not np.isfinite(records["accuracy"]).all():
                raise
            notes.append(f"{factor:g}x: {error}")
            continue
        counts[factor] = len(observed.candidates)
        drawn[factor] = _draws(observed, place)
    pairs = list(combinations(found, 2))
    differences = tuple(_difference(one, other, found, drawn, level) for one, other in pairs)
    return FactorDrift(
        optima=found,
        candidates=counts,
        differences=differences,
        drifts=any(one.p * len(pairs) <= level for one in differences) if differences else None,
        level=level,
        notes=tuple(notes),
    )


def _draws(observed: Observations, place: int) -> Floats:
    """Optima of tables that might as well have come, in an order of this search's own: searches
    are independent, and their draws must not go together."""
    fits = curved(observed)
    fit = min(fits.values(), key=lambda one: one.error)
    drawn = optima(observed, fits, fit)
    return drawn[np.random.default_rng(place + 1).permutation(len(drawn))]


def _difference(
    one: float,
    other: float,
    found: Mapping[float, Optimum],
    drawn: Mapping[float, Floats],
    level: float,
) -> Difference:
    count = min(len(drawn[one]), len(drawn[other]))
    apart_B3 = drawn[other][:count] - drawn[one][:count]
    points = [np.array(found[factor].shares.as_tuple()) for factor in (one, other)]
    value = points[1] - points[0]
    low, high = np.quantile(apart_B3, [level / 2, 1 - level / 2], axis=0)
    shares = {
        axis: Interval(float(v), float(min(a, v)), float(max(b, v)))
        for axis, v, a, b in zip(AXES, value, low, high, strict=True)
    }
    away = (apart_B3 - value)[:, :2]  # the third share follows
    metric = np.linalg.pinv(away.T @ away / count + EXACT * np.eye(2))
    reach = float(value[:2] @ metric @ value[:2])
    further = int((np.einsum("bi,ij,bj->b", away, metric, away) >= reach).sum())
    return Difference(one, other, shares, (further + 1) / (count + 1))


def _flat(shares: Mapping[str, Interval]) -> dict[str, float]:
    row: dict[str, float] = {}
    for axis, one in shares.items():
        row |= {axis: one.value, f"{axis}_low": one.low, f"{axis}_high": one.high}
    return row
