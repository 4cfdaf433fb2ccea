"""Convergence of a search: a precise result, or no further gain expected."""

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
"""Fewest candidates before a search may converge; a quadratic surface has six terms."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """The result of a convergence check; only a reason with too few candidates.

    ``reason``: why, or why not. ``widths``: widths of the three shares' intervals.
    ``expected_gain``: expected improvement in accuracy of the best unseen network over the best
    candidate. ``noise``: standard error of a candidate's mean. ``optimum``: the optimum behind
    these numbers.
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
    """Check whether a search has converged by one of the given rules.

    ``max_width``: converged when the widest interval of the three shares (1 - ``level``) is
    narrower. ``use_expected_gain``: converged when the expected gain of an unseen candidate is
    below the noise. ``epochs``, ``feasible_shares``: as for ``optimum``. Pass ``feasible_shares``
    for a baseline that cannot scale an axis; otherwise the axis counts as not tried yet. With too
    few candidates nothing is raised: the search has not converged, and the reason says why. Takes
    some hundredths of a second for tens of candidates.
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
        return _not_converged(f"no candidate scales {' or '.join(unscaled)} yet")
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
            f"the interval of the {widest} share is {widths[widest]:.2f} wide, {comparison} than "
            f"{max_width:g}"
        )
    if use_expected_gain:
        comparison = "less" if no_gain_left else "not less"
        reasons.append(
            f"the expected gain of another candidate is {gain_left:.4f}, {comparison} than the "
            f"noise, {noise:.4f}"
        )
    reason = "; ".join(reasons) or "no convergence rule was given"
    return Convergence(is_narrow or no_gain_left, reason, widths, gain_left, noise, optimum)


def expected_gain(estimates: CandidateEstimates, fit: PolynomialFit, places_N3: Floats) -> float:
    """Return the expected gain in accuracy of a new network over the best candidate.

    The new network is the best of the places (shares) given. Networks deviate from the surface
    with variance ``fit.deviation``: the best candidate probably upwards, a new network either way.
    With a single seed, deviation cannot be separated from noise and counts as noise.
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
    """Return the axes that can be scaled but that no candidate scales."""
    (scaled, *_) = (fit.axes for fit in fits.values())
    return [
        axis
        for index, axis in enumerate(AXES)
        if index not in scaled
        and (feasible_shares is None or feasible_shares[:, index].max() > MIN_SCALED_SHARE)
    ]


def _standard_error(estimates: CandidateEstimates, fit: PolynomialFit) -> float:
    """Return the standard error of the mean of a candidate with the most seeds."""
    if estimates.variance is None:
        return float(np.sqrt(fit.deviation))
    return float(np.sqrt(estimates.variance / estimates.seeds.max()))


def _not_converged(reason: str) -> Convergence:
    return Convergence(False, reason, {}, None, None, None)
