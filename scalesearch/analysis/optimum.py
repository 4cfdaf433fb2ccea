"""Where accuracy is highest, how surely, and what cannot be told from it.

The point is where the polynomial of least error is highest; a plane is not asked, whose highest
point is a corner whatever the data. The intervals are of a bootstrap: every candidate gets another
candidate's residual, which holds the noise of its seeds and its own deviation from any smooth
surface, the degree is chosen anew, and the highest place found again.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtrit

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats
from scalesearch.analysis.observations import CandidateEstimates, candidate_estimates
from scalesearch.analysis.polynomials import (
    AXES,
    DEGREES,
    MIN_SCALED_SHARE,
    PolynomialFit,
    leave_one_out_rmse,
    polynomial_fits,
    polynomial_terms,
    simplex_argmax,
    simplex_lattice,
)
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Coefficients, Shares

Mask: TypeAlias = NDArray[np.bool_]

MAX_RESAMPLES, MIN_RESAMPLES = 1000, 200
MAX_VALUES = 1_000_000
"""Drawn at once; many candidates are bootstrapped less often, and hardly need it."""
COEFFICIENT_OF_AXIS = {"depth": "alpha", "width": "beta", "resolution": "gamma"}


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bounds that hold the true one with the probability asked for."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best shares and how sure they are; intervals and regions are of 1 - ``level``.

    ``accuracy``, ``standard_error``: of the surface there, in the mean seed. ``share_intervals``:
    by axis; ``intervals``: alpha, beta, gamma, each F^share or F^(share / 2). ``region``: corners
    of the polygon of shares that holds the best, all three together; two for a line, one for a
    point. ``flat``: places of the simplex (or of those given) whose accuracy cannot be told from
    the best's, ``flat_part`` of all: by a one-sided t test each, and all of them where ``p_flat``
    is above the level. ``flat_candidates``: the trained ones among these.
    ``deserves``: by axis, the probability that the best gives it more than nothing. ``p_flat``: of
    a surface so uneven, or more, where shares make no difference at all. ``degree``: of the
    polynomial. ``notes``: what is to be said beside it.
    """

    shares: Shares
    coefficients: Coefficients
    accuracy: float
    standard_error: float
    share_intervals: dict[str, Interval]
    coefficient_intervals: dict[str, Interval]
    region: tuple[tuple[float, float, float], ...]
    equivalent_shares: Floats
    equivalent_fraction: float
    equivalent_candidates: tuple[str, ...]
    share_probability: dict[str, float]
    p_flat: float
    degree: str
    level: float
    notes: tuple[str, ...]


def optimum(
    records: pd.DataFrame,
    factor: float,
    *,
    level: float = 0.1,
    epochs: int | None = None,
    include_stopped: bool = True,
    feasible_shares: Floats | None = None,
) -> Optimum:
    """The optimum of a results table for a budget of ``factor``.

    ``within`` (N, 3): shares that can be had; by default all. ``epochs``, ``stopped``: as in
    ``observations``. The same table gives the same answer. Raises SearchError where the candidates
    do not determine a quadratic surface with one to spare.
    """
    estimates = candidate_estimates(records, epochs=epochs, include_stopped=include_stopped)
    return optimum_of_estimates(estimates, factor, level=level, feasible_shares=feasible_shares)


def optimum_of_estimates(
    estimates: CandidateEstimates,
    factor: float,
    *,
    level: float = 0.1,
    feasible_shares: Floats | None = None,
) -> Optimum:
    """The same, of candidates with their values."""
    fits = curved_polynomial_fits(estimates)
    fit = min(fits.values(), key=lambda candidate_fit: candidate_fit.error)
    best_13 = simplex_argmax(fit.coefficients[None], fit.degree, fit.axes, feasible_shares)
    mean, error = fit.predict(best_13)
    draws_B3 = bootstrap_optima(estimates, fits, fit, feasible_shares)
    bounds = np.quantile(draws_B3, [level / 2, 1 - level / 2], axis=0)
    share_intervals = {
        axis: Interval(float(best), float(min(low, best)), float(max(high, best)))
        for axis, best, low, high in zip(AXES, best_13[0], *bounds, strict=True)
    }
    grid_N3 = simplex_lattice(fit.axes) if feasible_shares is None else feasible_shares
    is_equivalent, p_flat = (
        _is_equivalent(fit, best_13, grid_N3, estimates.shares, level),
        _p_value_of_flatness(estimates, fit),
    )
    is_equivalent |= p_flat > level
    equivalent = grid_N3[
        is_equivalent[: len(grid_N3)]
    ]  # on a lattice the best may lie between all of these
    best_shares = Shares(*(float(share) for share in best_13[0]))
    return Optimum(
        shares=best_shares,
        coefficients=best_shares.coefficients(factor),
        accuracy=float(mean[0]),
        standard_error=float(error[0]),
        share_intervals=share_intervals,
        coefficient_intervals={
            COEFFICIENT_OF_AXIS[axis]: _coefficient_interval(axis, share_intervals[axis], factor)
            for axis in AXES
        },
        region=_confidence_region(draws_B3, best_13[0], level),
        equivalent_shares=equivalent
        if feasible_shares is not None
        else np.vstack([best_13, equivalent]),
        equivalent_fraction=float(is_equivalent[: len(grid_N3)].mean()),
        equivalent_candidates=tuple(
            name
            for name, is_alike in zip(
                estimates.candidates, is_equivalent[len(grid_N3) :], strict=True
            )
            if is_alike
        ),
        share_probability={
            axis: float((draws_B3[:, index] > MIN_SCALED_SHARE).mean())
            for index, axis in enumerate(AXES)
        },
        p_flat=p_flat,
        degree=fit.degree,
        level=level,
        notes=_notes(estimates, fit, p_flat > level),
    )


def curved_polynomial_fits(estimates: CandidateEstimates) -> dict[str, PolynomialFit]:
    """The polynomials that can be highest anywhere; refused where the candidates determine none."""
    fits = {
        degree: fit
        for degree, fit in polynomial_fits(estimates).items()
        if degree != DEGREES[0] and np.isfinite(fit.error)
    }
    if not fits:
        raise SearchError(
            "the optimum: need candidates that determine a quadratic surface and one to spare (7 "
            f"that spread over all three shares), got {estimates.count_text}; train more, or further "
            "apart"
        )
    return fits


def bootstrap_optima(
    estimates: CandidateEstimates,
    fits: dict[str, PolynomialFit],
    fit: PolynomialFit,
    feasible_shares: Floats | None = None,
) -> Floats:
    """Where the surface is highest in B tables that might as well have come; (B, 3)."""
    rng = np.random.default_rng(0)
    count, scale = len(estimates.values), np.sqrt(estimates.noise_variances + fit.deviation)
    resamples = max(MIN_RESAMPLES, min(MAX_RESAMPLES, MAX_VALUES // count))
    # Residuals are smaller than errors where a candidate pulls the surface to itself.
    residuals = fit.residuals / np.sqrt(np.maximum(1 - fit.leverages, 0.05))
    residuals = residuals / scale
    residuals = residuals - residuals.mean()
    residuals = residuals / max(float(np.sqrt(np.square(residuals).mean())), ROUNDING_ERROR)
    scale_draws = np.sqrt(fit.df / rng.chisquare(fit.df, (resamples, 1)))
    errors = residuals[rng.integers(0, count, (resamples, count))] * scale * scale_draws
    expected = polynomial_terms(estimates.shares, fit.degree, fit.axes) @ fit.coefficients
    values = expected + errors
    return maximizing_shares(values, estimates, fits, feasible_shares)


def maximizing_shares(
    values_BC: Floats,
    estimates: CandidateEstimates,
    fits: dict[str, PolynomialFit],
    feasible_shares: Floats | None = None,
) -> Floats:
    """Where the polynomial of least error is highest, for each of B tables of C values; (B, 3)."""
    coefficients, errors = {}, []
    for degree, fit in fits.items():
        coefficients[degree] = values_BC @ fit.solver.T
        predicted = coefficients[degree] @ polynomial_terms(estimates.shares, degree, fit.axes).T
        errors.append(leave_one_out_rmse(values_BC - predicted, fit.leverages, estimates))
    best_degree = np.argmin(errors, axis=0)
    maximizers = np.empty((len(values_BC), 3))
    for index, (degree, fit) in enumerate(fits.items()):
        if (is_chosen := best_degree == index).any():
            maximizers[is_chosen] = simplex_argmax(
                coefficients[degree][is_chosen], degree, fit.axes, feasible_shares
            )
    return maximizers


def _is_equivalent(
    fit: PolynomialFit, best_13: Floats, grid_N3: Floats, candidates_C3: Floats, level: float
) -> Mask:
    """Which places, and then which candidates, cannot be told from the best, each for itself."""
    everywhere = np.vstack([grid_N3, candidates_C3])
    contrast = polynomial_terms(best_13, fit.degree, fit.axes) - polynomial_terms(
        everywhere, fit.degree, fit.axes
    )
    errors = np.sqrt(np.square(contrast @ np.linalg.cholesky(fit.covariance)).sum(axis=1))
    limit = float(stdtrit(fit.df, 1 - level))
    is_equivalent: Mask = contrast @ fit.coefficients <= limit * errors + ROUNDING_ERROR
    return is_equivalent


def _p_value_of_flatness(estimates: CandidateEstimates, fit: PolynomialFit) -> float:
    """Of a surface against one accuracy for all: the F test with the fit's own errors."""
    weights = 1 / (estimates.noise_variances + fit.deviation)
    explained = polynomial_terms(estimates.shares, fit.degree, fit.axes) @ fit.coefficients
    mean = float(weights @ explained / weights.sum())
    df = len(fit.coefficients) - 1
    statistic = float(weights @ np.square(explained - mean)) / df
    return float(fdtrc(df, fit.df, statistic))


def _coefficient_interval(axis: str, share: Interval, factor: float) -> Interval:
    """F^share for depth, F^(share / 2) for width and resolution; a shrinking F turns the bounds."""
    exponent = 1.0 if axis == "depth" else 0.5
    low, high = sorted(factor ** (exponent * bound) for bound in (share.low, share.high))
    return Interval(factor ** (exponent * share.value), low, high)


def _confidence_region(
    draws_B3: Floats, best: Floats, level: float
) -> tuple[tuple[float, float, float], ...]:
    """The hull of those of the optima drawn that lie nearest to the best, in their own measure."""
    from scipy.spatial import ConvexHull, QhullError  # slow to import, and needed for this alone

    deviations = (draws_B3 - best)[:, :2]  # the third share follows
    metric = np.linalg.pinv(
        np.cov(deviations, rowvar=False) + np.outer(deviations.mean(0), deviations.mean(0))
    )
    distances = np.einsum("bi,ij,bj->b", deviations, metric, deviations)
    inner = draws_B3[distances <= np.quantile(distances, 1 - level) + 1e-12]
    try:
        corners = inner[ConvexHull(inner[:, :2]).vertices]
    except QhullError:  # all on a line, or in a point
        projection = inner @ np.linalg.svd(inner - inner.mean(axis=0), full_matrices=False)[2][0]
        corners = np.unique(inner[[int(projection.argmin()), int(projection.argmax())]], axis=0)
    return tuple(
        (float(depth), float(width), float(resolution)) for depth, width, resolution in corners
    )


def _notes(estimates: CandidateEstimates, fit: PolynomialFit, undecided: bool) -> tuple[str, ...]:
    notes = []
    if estimates.variance is None:
        notes.append(
            "one seed: noise is taken from what the surface leaves over, and cannot be told from "
            "what no smooth surface explains"
        )
    if stopped_count := len(estimates.candidates) - estimates.finished_count:
        notes.append(f"{stopped_count} candidates were stopped early and are predicted from there")
    if missing := [axis for index, axis in enumerate(AXES) if index not in fit.axes]:
        notes.append(f"no candidate scales {' or '.join(missing)}")
    if undecided:
        notes.append("nothing is distinguishable: shares make no clear difference")
    return tuple(notes)
