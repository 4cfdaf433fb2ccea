"""Scheffé polynomials of shares, fitted to candidates by weighted least squares."""

from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.mixture import DEGREES, polynomial_terms
from scalesearch.analysis.observations import CandidateEstimates
from scalesearch.analysis.twoway import Floats

MIN_SCALED_SHARE = 0.02
"""An axis that no candidate gives more than this share of the budget is not scaled."""
MAX_CONDITION = 1e4


@dataclass(frozen=True, slots=True)
class PolynomialFit:
    """A fitted surface. ``axes``: the shares it is a polynomial of (``mixture.terms``).

    ``deviation``: variance of candidates about the surface beyond their noise (what a polynomial
    misses of whole-number networks). ``df``: degrees of freedom of the two together. ``error``:
    root mean square of what each candidate is missed by when the others predict it. ``solver``
    (terms, candidates): coefficients from values. ``leverages``: of each candidate on itself.
    """

    degree: str
    axes: tuple[int, ...]
    coefficients: Floats
    covariance: Floats
    deviation: float
    df: float
    error: float
    solver: Floats
    leverages: Floats
    residuals: Floats

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Mean accuracy of networks at these shares, in the mean seed, and its standard error."""
        design = polynomial_terms(shares_N3, self.degree, self.axes)
        variance = np.einsum("np,pq,nq->n", design, self.covariance, design)
        return design @ self.coefficients, np.sqrt(np.maximum(variance, 0.0))


def scaled_axes(estimates: CandidateEstimates) -> tuple[int, ...]:
    """The axes that candidates scale at all; a baseline may be unable to scale one of them."""
    return tuple(axis for axis in range(3) if estimates.shares[:, axis].max() > MIN_SCALED_SHARE)


def polynomial_fits(estimates: CandidateEstimates) -> dict[str, PolynomialFit]:
    """A fit of each degree that the candidates determine, with at least one of them to spare; none
    where they scale one axis alone, which leaves no shares to choose."""
    axes, fits = scaled_axes(estimates), {}
    for degree in DEGREES if len(axes) > 1 else ():
        if degree == DEGREES[-1] and len(axes) < 3:
            continue
        design = polynomial_terms(estimates.shares, degree, axes)
        if len(design) > design.shape[1] and np.linalg.cond(design) < MAX_CONDITION:
            fits[degree] = _fit(estimates, design, degree, axes)
    return fits


def _fit(estimates: CandidateEstimates, design: Floats, degree: str, axes: tuple[int, ...]) -> PolynomialFit:
    noise = estimates.noise_variances
    spare_df = len(design) - design.shape[1]
    deviation = 0.0
    for _ in range(3):  # weights and deviation depend on each other a little
        deviation = _deviation(estimates.values, design, noise, deviation)
    variances = noise + deviation
    inverse = np.asarray(np.linalg.inv((design.T / variances) @ design), dtype=np.float64)
    solver = inverse @ (design.T / variances)
    coefficients = solver @ estimates.values
    leverages = np.einsum("cp,pc->c", design, solver)
    residuals = estimates.values - design @ coefficients
    return PolynomialFit(
        degree=degree,
        axes=axes,
        coefficients=coefficients,
        covariance=inverse,
        deviation=deviation,
        df=_degrees_of_freedom(estimates, deviation, spare_df),
        error=float(leave_one_out_rmse(residuals, leverages, estimates)),
        solver=solver,
        leverages=leverages,
        residuals=residuals,
    )


def _degrees_of_freedom(estimates: CandidateEstimates, deviation: float, spare_df: int) -> float:
    """Degrees of freedom of noise and deviation together, by Satterthwaite's rule."""
    noise = float(np.median(estimates.noise_variances))
    if not estimates.df:
        return spare_df
    return (deviation + noise) ** 2 / (deviation**2 / spare_df + noise**2 / estimates.df)


def _deviation(values: Floats, design: Floats, noise: Floats, deviation: float) -> float:
    """Variance of candidates about the surface beyond ``noise``, by the method of moments, with
    weights for the present guess."""
    weights = 1 / (noise + deviation)
    inverse = np.linalg.inv((design.T * weights) @ design)
    residuals = values - design @ (inverse @ ((design.T * weights) @ values))
    remaining_weights = weights - np.square(weights) * np.einsum("cp,pq,cq->c", design, inverse, design)
    return max(0.0, float((weights * residuals**2).sum() - (remaining_weights * noise).sum()) / float(remaining_weights.sum()))


def leave_one_out_rmse(residuals: Floats, leverages: Floats, estimates: CandidateEstimates) -> Floats:
    """Root mean square of leave-one-candidate-out errors, along the last axis of ``residuals``.

    Candidates count by what is known of them. A candidate that alone determines a term has no
    such error, and none is finite.
    """
    weights = 1 / estimates.noise_variances
    remaining = 1 - leverages
    if remaining.min() < 1e-6:
        return np.full(residuals.shape[:-1], np.inf)
    errors: Floats = np.sqrt(np.square(residuals / remaining) @ (weights / weights.sum()))
    return errors
