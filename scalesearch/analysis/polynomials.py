"""Scheffé polynomials of shares: terms, weighted fits and their maxima.

Shares sum to one (a mixture), so a constant and squares are linear combinations of the shares and
their products, and do not appear as terms (Scheffé, J. R. Stat. Soc. B 20, 1958).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.observations import CandidateEstimates

DEGREES = ("linear", "quadratic", "special cubic")
AXES = ("depth", "width", "resolution")
LATTICE_STEPS = 24
SHARE_TOLERANCE = 1e-4
"""Precision of the maximum, in shares."""


def polynomial_terms(shares_N3: Floats, degree: str, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """Return the polynomial's terms: shares, products of two, product of three.

    ``axes``: the axes that are scaled; the shares of the others are zero everywhere.
    """
    parts = [shares_N3[:, axis] for axis in axes]
    if degree != "linear":
        parts += [
            shares_N3[:, first] * shares_N3[:, second] for first, second in combinations(axes, 2)
        ]
    if degree == "special cubic" and len(axes) == 3:
        parts.append(shares_N3.prod(axis=1))
    return np.stack(parts, axis=1)


@lru_cache(maxsize=32)
def simplex_lattice(axes: tuple[int, ...] = (0, 1, 2), steps: int = LATTICE_STEPS) -> Floats:
    """Return evenly spaced shares (N, 3) on the simplex over ``axes``, with corners."""
    counts = np.array(
        [
            (first, second, steps - first - second)
            for first in range(steps + 1)
            for second in range(steps + 1 - first)
        ]
    )
    absent = [axis for axis in range(3) if axis not in axes]
    shares: Floats = counts[(counts[:, absent] == 0).all(axis=1)] / steps
    shares.flags.writeable = False  # the cached array is shared by all callers
    return shares


def simplex_argmax(
    coefficients_BP: Floats,
    degree: str,
    axes: tuple[int, ...] = (0, 1, 2),
    feasible_N3: Floats | None = None,
) -> Floats:
    """Return the shares (B, 3) that maximise each of B polynomials.

    The maximum is over the simplex, to ``SHARE_TOLERANCE``, or over the feasible shares given.
    """
    places = simplex_lattice(axes) if feasible_N3 is None else feasible_N3
    best_B3: Floats = places[
        np.argmax(coefficients_BP @ polynomial_terms(places, degree, axes).T, axis=1)
    ]
    if feasible_N3 is not None or degree == "linear":  # a plane has its maximum in a corner
        return best_B3
    steps = _moves(axes)
    step = 0.5 / LATTICE_STEPS
    while step > SHARE_TOLERANCE / 2:
        neighbours = np.clip(best_B3[:, None] + step * steps, 0.0, 1.0)
        neighbours /= neighbours.sum(axis=2, keepdims=True)
        neighbour_terms = polynomial_terms(neighbours.reshape(-1, 3), degree, axes).reshape(
            *neighbours.shape[:2], -1
        )
        values = np.einsum("bkp,bp->bk", neighbour_terms, coefficients_BP)
        best_move = np.argmax(values, axis=1)
        best_B3 = np.take_along_axis(neighbours, best_move[:, None, None], axis=1)[:, 0]
        step /= 1.6  # by less than half, to follow slanted ridges
    return best_B3


@lru_cache(maxsize=8)
def _moves(axes: tuple[int, ...]) -> Floats:
    """Return moves of one and two steps from one share to another, and the zero move."""
    moves = [np.zeros(3)]
    for gaining, losing in combinations(axes, 2):
        for distance in (-2.0, -1.0, 1.0, 2.0):
            move = np.zeros(3)
            move[gaining], move[losing] = distance, -distance
            moves.append(move)
    return np.array(moves)


MIN_SCALED_SHARE = 0.02
"""An axis is scaled if some candidate gives it more than this share of the budget."""
MAX_CONDITION = 1e4


@dataclass(frozen=True, slots=True)
class PolynomialFit:
    """A fitted surface; ``axes`` are those of its terms (``polynomial_terms``).

    ``deviation``: variance of candidates about the surface beyond their noise, since networks come
    in whole numbers. ``df``: degrees of freedom of deviation and noise together. ``error``: root
    mean square of the leave-one-candidate-out errors. ``solver`` (terms, candidates): maps values
    to coefficients. ``leverages``: of each candidate on its own prediction.
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
        """Return the mean accuracy of networks at these shares and its standard error."""
        design = polynomial_terms(shares_N3, self.degree, self.axes)
        variance = np.einsum("np,pq,nq->n", design, self.covariance, design)
        return design @ self.coefficients, np.sqrt(np.maximum(variance, 0.0))


def scaled_axes(shares_N3: Floats) -> tuple[int, ...]:
    """Return the axes that some candidate scales."""
    return tuple(axis for axis in range(3) if shares_N3[:, axis].max() > MIN_SCALED_SHARE)


def polynomial_fits(estimates: CandidateEstimates) -> dict[str, PolynomialFit]:
    """Fit a polynomial of each degree that the candidates determine with one to spare.

    The result is empty if the candidates scale one axis alone, since no shares are left to choose.
    """
    axes, fits = scaled_axes(estimates.shares), {}
    for degree in DEGREES if len(axes) > 1 else ():
        if degree == DEGREES[-1] and len(axes) < 3:
            continue
        design = polynomial_terms(estimates.shares, degree, axes)
        if len(design) > design.shape[1] and np.linalg.cond(design) < MAX_CONDITION:
            fits[degree] = _fit(estimates, design, degree, axes)
    return fits


def best_fit(fits: Mapping[str, PolynomialFit]) -> PolynomialFit:
    """Return the fit with the least leave-one-out error."""
    return min(fits.values(), key=lambda fit: fit.error)


def _fit(
    estimates: CandidateEstimates, design: Floats, degree: str, axes: tuple[int, ...]
) -> PolynomialFit:
    noise = estimates.noise_variances
    spare_df = len(design) - design.shape[1]
    deviation = 0.0
    for _ in range(3):  # weights and deviation depend on each other
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
    """Return the degrees of freedom of noise and deviation together (Satterthwaite)."""
    noise = float(np.median(estimates.noise_variances))
    if not estimates.df:
        return spare_df
    return (deviation + noise) ** 2 / (deviation**2 / spare_df + noise**2 / estimates.df)


def _deviation(values: Floats, design: Floats, noise: Floats, deviation: float) -> float:
    """Estimate the variance about the surface beyond ``noise`` (method of moments).

    ``deviation``: the present estimate, from which the weights follow.
    """
    weights = 1 / (noise + deviation)
    inverse = np.linalg.inv((design.T * weights) @ design)
    residuals = values - design @ (inverse @ ((design.T * weights) @ values))
    remaining_weights = weights - np.square(weights) * np.einsum(
        "cp,pq,cq->c", design, inverse, design
    )
    return max(
        0.0,
        float((weights * residuals**2).sum() - (remaining_weights * noise).sum())
        / float(remaining_weights.sum()),
    )


def leave_one_out_rmse(
    residuals: Floats, leverages: Floats, estimates: CandidateEstimates
) -> Floats:
    """Return the root mean square leave-one-out error along the last axis.

    Candidates are weighted by their precision. The error is infinite if one candidate alone
    determines a term.
    """
    weights = 1 / estimates.noise_variances
    remaining = 1 - leverages
    if remaining.min() < 1e-6:
        return np.full(residuals.shape[:-1], np.inf)
    errors: Floats = np.sqrt(np.square(residuals / remaining) @ (weights / weights.sum()))
    return errors
