"""Shares from the exponents of scaling laws, an alternative to a search.

Each axis k is scaled alone from one baseline, and a scaling law is fitted to its networks:
error_k(C) = floor_k + scale_k * C^(-c_k). In log cost x = log C, spending x on the axis gains
g_k(x) = scale_k * (1 - exp(-c_k * x)), and the marginal gain is
g_k'(x) = scale_k * c_k * exp(-c_k * x).

Under a budget of F, log F = x_depth + x_width + x_resolution, since costs multiply. *If* gains add
up (no axis changes what another one gains), accuracy is highest where the marginal gain is the same
on every axis with a share (Lagrange): g_k'(x_k) = m, or x_k = 0 where even g_k'(0) is below m. So
x_k = max(0, log(scale_k * c_k / m) / c_k), with m such that the three sum to log F, and the shares
are x_k / log F. For small F the axis with the steepest start gets everything; for large F the
shares approach the ratios of 1 / c_k: the faster an axis saturates, the less it gets.

That gains add up is an assumption, which compound scaling itself denies (EfficientNet,
arXiv:1905.11946, figure 4). A search over the simplex does not make it; if the two disagree, the
gains do not add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.optimum import (
    COEFFICIENT_OF_AXIS,
    Interval,
    coefficient_interval,
    quantile_interval,
)
from scalesearch.analysis.polynomials import AXES
from scalesearch.analysis.scaling_law import ScalingLaw
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Coefficients, Shares

BISECTION_STEPS = 60
MIN_GAIN = 1e-12


@dataclass(frozen=True, slots=True)
class ExponentShares:
    """The best shares for a budget of ``factor`` by the axes' laws, if gains add up.

    ``share_intervals`` by axis, ``intervals`` by alpha, beta and gamma: of 1 - ``level``, from the
    laws' bootstrap draws. ``gain_of_doubling``: by axis, accuracy gained by the first doubling of
    cost. ``undecided_fraction``: fraction of the draws in which no axis gains anything; they are
    left out.
    """

    factor: float
    shares: Shares
    coefficients: Coefficients
    share_intervals: dict[str, Interval]
    intervals: dict[str, Interval]
    gain_of_doubling: dict[str, Interval]
    undecided_fraction: float
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each axis."""
        return [
            {
                "axis": axis,
                **self.share_intervals[axis].columns("share"),
                **self.intervals[COEFFICIENT_OF_AXIS[axis]].columns(COEFFICIENT_OF_AXIS[axis]),
                **self.gain_of_doubling[axis].columns("gain_of_doubling"),
            }
            for axis in AXES
        ]


def exponent_shares(laws: Mapping[str, ScalingLaw], factor: float) -> ExponentShares:
    """Return the best shares for a budget of ``factor`` > 1 by the axes' laws.

    Raises SearchError if an axis has no law, or none of them gains with cost.
    """
    if missing := [axis for axis in AXES if axis not in laws]:
        raise SearchError(
            f"exponents: need a law for each axis, got none for {', '.join(missing)}; scale each "
            "axis alone to four costs or more"
        )
    if not factor > 1:
        raise SearchError(f"exponents: need a factor above 1, got {factor}")
    axis_laws = [laws[axis] for axis in AXES]
    level = axis_laws[0].level
    estimate_132 = np.array([[(law.scale.value, law.exponent.value) for law in axis_laws]])
    draws_B32 = np.stack([law.draws[:, 1:] for law in axis_laws], axis=1)
    best_shares, shares_B3 = (
        _optimal_shares(laws_B32, float(np.log(factor))) for laws_B32 in (estimate_132, draws_B32)
    )
    if not np.isfinite(best_shares).all():
        raise SearchError(
            "exponents: need an axis along which accuracy rises with cost, got none that does"
        )
    decided_draws = shares_B3[np.isfinite(shares_B3).all(axis=1)]
    share_intervals = {
        axis: quantile_interval(best_shares[0, index], decided_draws[:, index], level)
        for index, axis in enumerate(AXES)
    }
    shares = Shares(*(float(share) for share in best_shares[0]))
    gain_13, gains_B3 = (
        laws_B32[..., 0] * (1 - 2.0 ** -laws_B32[..., 1]) for laws_B32 in (estimate_132, draws_B32)
    )
    return ExponentShares(
        factor=factor,
        shares=shares,
        coefficients=shares.coefficients(factor),
        share_intervals=share_intervals,
        intervals={
            COEFFICIENT_OF_AXIS[axis]: coefficient_interval(axis, share_intervals[axis], factor)
            for axis in AXES
        },
        gain_of_doubling={
            axis: quantile_interval(gain_13[0, index], gains_B3[:, index], level)
            for index, axis in enumerate(AXES)
        },
        undecided_fraction=1 - len(decided_draws) / len(shares_B3),
        level=level,
    )


def _optimal_shares(laws_B32: Floats, budget: float) -> Floats:
    """Return the shares of log cost with equal marginal gains; nan if no axis gains.

    ``laws_B32``: scale and exponent of each axis.
    """
    scale, exponent = laws_B32[..., 0], laws_B32[..., 1]
    initial_slope = scale * exponent  # marginal gain at cost 1
    gains = np.asarray(initial_slope > MIN_GAIN)
    log_slope = np.log(np.where(gains, initial_slope, 1.0))
    # Bisect the log of m, from a value that spends the budget or more to one that spends nothing.
    low = np.where(gains, log_slope - exponent * budget, np.inf).min(axis=1)
    high = np.where(gains, log_slope, -np.inf).max(axis=1)

    def spending(price_B: Floats) -> Floats:
        log_cost = np.maximum(log_slope - price_B[:, None], 0.0) / exponent
        return np.where(gains, log_cost, 0.0)

    any_gains = np.asarray(gains.any(axis=1))
    low, high = np.where(any_gains, low, 0.0), np.where(any_gains, high, 1.0)
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        overspent = spending(middle).sum(axis=1) > budget
        low, high = np.where(overspent, middle, low), np.where(overspent, high, middle)
    log_costs = spending(low)
    total = log_costs.sum(axis=1, keepdims=True)
    shares: Floats = np.where(
        any_gains[:, None], log_costs / np.where(total > 0, total, 1.0), np.nan
    )
    return shares
