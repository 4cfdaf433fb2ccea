"""Whether a search may stop: its answer is sure enough, or more of it would gain nothing."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.observations import CandidateEstimates, candidate_estimates
from scalesearch.analysis.optimum import Optimum, curved_polynomial_fits, optimum_of_estimates
from scalesearch.analysis.polynomials import (
    AXES,
    MIN_SCALED_SHARE,
    PolynomialFit,
    polynomial_terms,
    simplex_lattice,
)
from scalesearch.errors import SearchError

MIN_CANDIDATES = 10
"""Candidates behind a quadratic surface of six terms before anything is called settled."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """``reason``: in words, whichever way. ``widths``: of the intervals of the three shares.
    ``expected_gain``: in accuracy, of the best place not seen over the best candidate seen.
    ``noise``: standard error of a candidate's mean. ``optimum``: what they come from. Nothing of
    these is known while candidates are too few.
    """

    is_converged: bool
    reason: str
    widths: dict[str, float]
    expected_gain: float | None
    noise: float | None
    optimum: Optimum | None

    def __bool__(self) -> bool:
        return self.is_converged


def check_convergence(
    records: pd.DataFrame,
    factor: float,
    *,
    max_width: float | None = None,
    use_expected_gain: bool | None = None,
    level: float = 0.1,
    epochs: int | None = None,
    feasible_shares: Floats | None = None,
) -> Convergence:
    """Whether the answer of a results table is settled, by one of the rules asked for.

    ``width``: the widest of the three shares' intervals (of 1 - ``level``) is narrower than this.
    ``gain``: the improvement still to be expected of an unseen candidate is less than the noise.
    ``epochs``, ``within``: as for ``optimum``; a baseline that cannot scale an axis needs
    ``within`` to say so, or the search might only not have come to it. Too few candidates settle
    nothing, and raise nothing: the reason says so. Some hundredths of a second for tens of
    candidates.
    """
    try:
        estimates = candidate_estimates(records, epochs=epochs)
        fits = curved_polynomial_fits(estimates)
    except SearchError as error:
        return _not_converged(str(error))
    if len(estimates.candidates) < MIN_CANDIDATES:
        return _not_converged(
            f"need at least {MIN_CANDIDATES} candidates, got {len(estimates.candidates)}"
        )
    if unscaled := _unscaled_axes(fits, feasible_shares):
        return _not_converged(f"no candidate has tried to scale {' or '.join(unscaled)}")
    optimum = optimum_of_estimates(estimates, factor, level=level, feasible_shares=feasible_shares)
    fit = fits[optimum.degree]
    noise = _standard_error(estimates, fit)
    gain_left = expected_gain(
        estimates, fit, simplex_lattice(fit.axes) if feasible_shares is None else feasible_shares
    )
    widths = {axis: interval.width for axis, interval in optimum.share_intervals.items()}
    widest = max(widths, key=lambda axis: widths[axis])
    is_narrow = max_width is not None and widths[widest] < max_width
    no_gain_left = bool(use_expected_gain) and gain_left < noise
    reasons = []
    if max_width is not None:
        comparison = "less" if is_narrow else "not less"
        reasons.append(
            f"the {widest} share is known to {widths[widest]:.2f}, {comparison} than {max_width:g}"
        )
    if use_expected_gain:
        comparison = "less" if no_gain_left else "not less"
        reasons.append(
            f"another candidate may be expected to gain {gain_left:.4f}, {comparison} than the "
            f"noise, {noise:.4f}"
        )
    reason = "; ".join(reasons) or "no rule was asked for"
    return Convergence(is_narrow or no_gain_left, reason, widths, gain_left, noise, optimum)


def expected_gain(estimates: CandidateEstimates, fit: PolynomialFit, places_N3: Floats) -> float:
    """Expected improvement of the best of these places over the best candidate seen, in accuracy.

    A network deviates from the surface (``fit.deviation``), the best one seen for the better, and
    a new one as chance will have it. With a single seed, deviation cannot be told from noise, and
    counts as noise.
    """
    deviation = 0.0 if estimates.variance is None else fit.deviation
    candidate_terms = polynomial_terms(estimates.shares, fit.degree, fit.axes)
    credit = deviation / (deviation + estimates.noise_variances)
    values = candidate_terms @ fit.coefficients + credit * fit.residuals
    best = int(np.argmax(values))
    place_terms = polynomial_terms(places_N3, fit.degree, fit.axes)
    contrasts = place_terms - candidate_terms[best]
    variance = np.einsum("np,pq,nq->n", contrasts, fit.covariance, contrasts)
    error = np.sqrt(np.maximum(variance, 0) + deviation * (2 - credit[best]))
    error = np.maximum(error, 1e-12)
    lead = place_terms @ fit.coefficients - values[best]
    standard = lead / error
    density = np.exp(-np.square(standard) / 2) / np.sqrt(2 * np.pi)
    return float((lead * ndtr(standard) + error * density).max())


def _unscaled_axes(fits: dict[str, PolynomialFit], feasible_shares: Floats | None) -> list[str]:
    """Axes that can be scaled, as far as is known, and that no candidate scales."""
    (scaled, *_) = (fit.axes for fit in fits.values())
    return [
        axis
        for index, axis in enumerate(AXES)
        if index not in scaled
        and (feasible_shares is None or feasible_shares[:, index].max() > MIN_SCALED_SHARE)
    ]


def _standard_error(estimates: CandidateEstimates, fit: PolynomialFit) -> float:
    """Standard error of the mean of a candidate with the most seeds."""
    if estimates.variance is None:
        return float(np.sqrt(fit.deviation))
    return float(np.sqrt(estimates.variance / estimates.seeds.max()))


def _not_converged(reason: str) -> Convergence:
    return Convergence(False, reason, {}, None, None, None)
