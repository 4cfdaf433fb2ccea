"""Scheffé polynomials of shares, fitted to candidates by weighted least squares."""

from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.mixture import DEGREES, terms
from scalesearch.analysis.observations import Observations
from scalesearch.analysis.twoway import Floats

SCALED = 0.02
"""An axis that no candidate gives more than this share of the budget is not scaled."""
WORST_CONDITION = 1e4


@dataclass(frozen=True, slots=True)
class Polynomial:
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
        known = terms(shares_N3, self.degree, self.axes)
        variance = np.einsum("np,pq,nq->n", known, self.covariance, known)
        return known @ self.coefficients, np.sqrt(np.maximum(variance, 0.0))


def scaled_axes(observed: Observations) -> tuple[int, ...]:
    """The axes that candidates scale at all; a baseline may be unable to scale one of them."""
    return tuple(axis for axis in range(3) if observed.shares[:, axis].max() > SCALED)


def polynomials(observed: Observations) -> dict[str, Polynomial]:
    """A fit of each degree that the candidates determine, with at least one of them to spare; none
    where they scale one axis alone, which leaves no shares to choose."""
    axes, found = scaled_axes(observed), {}
    for degree in DEGREES if len(axes) > 1 else ():
        if degree == DEGREES[-1] and len(axes) < 3:
            continue
        design = terms(observed.shares, degree, axes)
        if len(design) > design.shape[1] and np.linalg.cond(design) < WORST_CONDITION:
            found[degree] = _fit(observed, design, degree, axes)
    return found


def _fit(observed: Observations, design: Floats, degree: str, axes: tuple[int, ...]) -> Polynomial:
    noise = observed.noise
    spare = len(design) - design.shape[1]
    deviation = 0.0
    for _ in range(3):  # weights and deviation depend on each other a little
        deviation = _deviation(observed.values, design, noise, deviation)
    variances = noise + deviation
    inverse = np.asarray(np.linalg.inv((design.T / variances) @ design), dtype=np.float64)
    solver = inverse @ (design.T / variances)
    coefficients = solver @ observed.values
    leverages = np.einsum("cp,pc->c", design, solver)
    residuals = observed.values - design @ coefficients
    return Polynomial(
        degree=degree,
        axes=axes,
        coefficients=coefficients,
        covariance=inverse,
        deviation=deviation,
        df=_degrees(observed, deviation, spare),
        error=float(missed(residuals, leverages, observed)),
        solver=solver,
        leverages=leverages,
        residuals=residuals,
    )


def _degrees(observed: Observations, deviation: float, spare: int) -> float:
    """Degrees of freedom of noise and deviation together, by Satterthwaite's rule."""
    noise = float(np.median(observed.noise))
    if not observed.df:
        return spare
    return (deviation + noise) ** 2 / (deviation**2 / spare + noise**2 / observed.df)


def _deviation(values: Floats, design: Floats, noise: Floats, deviation: float) -> float:
    """Variance of candidates about the surface beyond ``noise``, by the method of moments, with
    weights for the present guess."""
    weights = 1 / (noise + deviation)
    inverse = np.linalg.inv((design.T * weights) @ design)
    left = values - design @ (inverse @ ((design.T * weights) @ values))
    kept = weights - np.square(weights) * np.einsum("cp,pq,cq->c", design, inverse, design)
    return max(0.0, float((weights * left**2).sum() - (kept * noise).sum()) / float(kept.sum()))


def missed(residuals: Floats, leverages: Floats, observed: Observations) -> Floats:
    """Root mean square of leave-one-candidate-out errors, along the last axis of ``residuals``.

    Candidates count by what is known of them. A candidate that alone determines a term has no
    such error, and none is finite.
    """
    weights = 1 / observed.noise
    left = 1 - leverages
    if left.min() < 1e-6:
        return np.full(residuals.shape[:-1], np.inf)
    errors: Floats = np.sqrt(np.square(residuals / left) @ (weights / weights.sum()))
    return errors
