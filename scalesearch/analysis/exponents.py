"""Shares from fitted exponents: an alternative to the best of a grid, from one star of networks.

Each axis k is scaled alone from one baseline, and its law fitted to what comes of that:
error_k(C) = floor_k + scale_k * C^(-c_k). In log cost x = log C, what spending x on the axis gains
is g_k(x) = scale_k * (1 - exp(-c_k * x)), and what the next bit of log cost gains is
g_k'(x) = scale_k * c_k * exp(-c_k * x).

Under a budget of F, log F = x_depth + x_width + x_resolution, since costs multiply. *If* gains add
up (no axis makes another worth more or less), accuracy is highest where the next bit gains the same
on every axis that has any (Lagrange): g_k'(x_k) = m, or x_k = 0 where even its first bit gains less
than m. So x_k = max(0, log(scale_k * c_k / m) / c_k), with m such that the three sum to log F, and
the shares are x_k / log F. For small F all goes to the axis of the steepest beginning; for large F
the shares tend to be as 1 / c_k: the faster an axis saturates, the less it gets.

That gains add up is an assumption, which compound scaling itself denies (EfficientNet,
arXiv:1905.11946, figure 4). A search over the simplex does not make it; where the two disagree, the
axes do not just add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalesearch.analysis.laws import Law
from scalesearch.analysis.mixture import AXES
from scalesearch.analysis.optimum import GREEK, Interval
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError
from scalesearch.scaling import Coefficients, Shares

STEPS = 60
NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class StarShares:
    """The shares that a star's laws come to for a budget of ``factor``, if gains add up.

    ``share_intervals`` by axis, ``intervals`` by alpha, beta and gamma: of 1 - ``level``, from the
    laws' draws. ``marginal``: by axis, accuracy that the first doubling of cost gains there.
    ``undecided``: part of the draws in which no axis gains anything, which are left out.
    """

    factor: float
    shares: Shares
    coefficients: Coefficients
    share_intervals: dict[str, Interval]
    intervals: dict[str, Interval]
    marginal: dict[str, Interval]
    undecided: float
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each axis."""
        return [
            {
                "axis": axis,
                **_flat("share", self.share_intervals[axis]),
                **_flat(GREEK[axis], self.intervals[GREEK[axis]]),
                **_flat("gain_of_doubling", self.marginal[axis]),
            }
            for axis in AXES
        ]


def star_shares(laws: Mapping[str, Law], factor: float) -> StarShares:
    """The shares for a budget of ``factor`` > 1 that the laws of the three axes come to.

    Raises SearchError where an axis has no law, or none of them gains with cost.
    """
    if missing := [axis for axis in AXES if axis not in laws]:
        raise SearchError(
            f"exponents: need a law for each axis, got none for {', '.join(missing)}; scale each "
            "alone to four costs or more"
        )
    if not factor > 1:
        raise SearchError(f"exponents: need a factor above 1, got {factor}")
    three = [laws[axis] for axis in AXES]
    level = three[0].level
    known_13 = np.array([[(law.scale.value, law.exponent.value) for law in three]])
    drawn_B3 = np.stack([law.draws[:, 1:] for law in three], axis=1)
    best, shares_B3 = (_allotted(many, float(np.log(factor))) for many in (known_13, drawn_B3))
    if not np.isfinite(best).all():
        raise SearchError(
            "exponents: need an axis along which accuracy rises with cost, got none that does"
        )
    decided = shares_B3[np.isfinite(shares_B3).all(axis=1)]
    found = {
        axis: _interval(best[0, place], decided[:, place], level) for place, axis in enumerate(AXES)
    }
    shares = Shares(*(float(share) for share in best[0]))
    doubled = [1 - 2.0 ** -many[..., 1] for many in (known_13, drawn_B3)]
    gains = [many[..., 0] * part for many, part in zip((known_13, drawn_B3), doubled, strict=True)]
    return StarShares(
        factor=factor,
        shares=shares,
        coefficients=shares.coefficients(factor),
        share_intervals=found,
        intervals={GREEK[axis]: _as_coefficient(axis, found[axis], factor) for axis in AXES},
        marginal={
            axis: _interval(gains[0][0, place], gains[1][:, place], level)
            for place, axis in enumerate(AXES)
        },
        undecided=1 - len(decided) / len(shares_B3),
        level=level,
    )


def _allotted(laws_B32: Floats, budget: float) -> Floats:
    """Shares of log cost at which the next bit gains the same everywhere; nan where none gains.

    ``laws_B32``: scale and exponent of each axis.
    """
    scale, exponent = laws_B32[..., 0], laws_B32[..., 1]
    first = scale * exponent  # what the first bit gains
    gains = np.asarray(first > NOTHING)
    steep = np.log(np.where(gains, first, 1.0))
    # Between a price that buys everything there and one that buys nothing, by halves.
    low = np.where(gains, steep - exponent * budget, np.inf).min(axis=1)
    high = np.where(gains, steep, -np.inf).max(axis=1)

    def spent(price_B: Floats) -> Floats:
        wanted = np.maximum(steep - price_B[:, None], 0.0) / exponent
        return np.where(gains, wanted, 0.0)

    any_gains = np.asarray(gains.any(axis=1))
    low, high = np.where(any_gains, low, 0.0), np.where(any_gains, high, 1.0)
    for _ in range(STEPS):
        middle = (low + high) / 2
        much = spent(middle).sum(axis=1) > budget
        low, high = np.where(much, middle, low), np.where(much, high, middle)
    parts = spent(low)
    total = parts.sum(axis=1, keepdims=True)
    shares: Floats = np.where(any_gains[:, None], parts / np.where(total > 0, total, 1.0), np.nan)
    return shares


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    low, high = np.quantile(drawn, [level / 2, 1 - level / 2])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


def _as_coefficient(axis: str, share: Interval, factor: float) -> Interval:
    power = 1.0 if axis == "depth" else 0.5
    return Interval(*(factor ** (power * one) for one in (share.value, share.low, share.high)))


def _flat(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
