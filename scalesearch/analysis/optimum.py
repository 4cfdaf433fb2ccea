"""The shares with the highest accuracy, and what is within noise of them.

The optimum is the maximum of the polynomial with the least leave-one-out error. Planes are not
considered, since their maximum is a corner whatever the data. Intervals come from a bootstrap:
every candidate gets another candidate's residual, which holds the noise of its seeds and its own
deviation from any smooth surface; then the degree is chosen and the maximum found again.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc, stdtrit

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats, Mask
from scalesearch.analysis.observations import CandidateEstimates, candidate_estimates
from scalesearch.analysis.polynomials import (
    AXES,
    DEGREES,
    MIN_SCALED_SHARE,
    PolynomialFit,
    best_fit,
    leave_one_out_rmse,
    polynomial_fits,
    polynomial_terms,
    simplex_argmax,
    simplex_lattice,
)
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Coefficients, Shares

MAX_RESAMPLES, MIN_RESAMPLES = 1000, 200
MAX_VALUES = 1_000_000
"""Most values drawn at once, so many candidates get fewer resamples; they need fewer."""
COEFFICIENT_OF_AXIS = {"depth": "alpha", "width": "beta", "resolution": "gamma"}


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bounds that hold the true value with the given probability."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def columns(self, name: str) -> dict[str, float]:
        """Return flat columns of value and bounds: ``name``, ``name_low``, ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def quantile_interval(value: float, draws: Floats, level: float) -> Interval:
    """Return ``value`` with quantiles of its draws, widened to include it."""
    low, high = np.quantile(draws, [level / 2, 1 - level / 2])
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


def coefficient_interval(axis: str, share: Interval, factor: float) -> Interval:
    """Return F^share for depth and F^(share / 2) for width and resolution."""
    exponent = 1.0 if axis == "depth" else 0.5
    low, high = sorted(factor ** (exponent * bound) for bound in (share.low, share.high))
    return Interval(factor ** (exponent * share.value), low, high)


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best shares with intervals and a region of 1 - ``level``.

    ``accuracy``, ``standard_error``: of the surface at the optimum, in the mean seed.
    ``share_intervals``: by axis. ``coefficient_intervals``: of alpha, beta and gamma, F^share or
    F^(share / 2). ``region``: corners of the polygon of shares that holds the optimum, all three
    together; two corners for a line, one for a point. ``equivalent_shares``: shares of the simplex
    (or the feasible ones) whose accuracy is within noise of the best, by a one-sided t test each,
    and all of them if ``p_flat`` is above the level. ``equivalent_fraction``: their fraction of
    all. ``equivalent_candidates``: the trained candidates within noise of the best.
    ``share_probability``: by axis, the probability that its best share is above zero. ``p_flat``:
    p-value of the hypothesis that shares make no difference. ``degree``: degree of the polynomial.
    ``notes``: remarks for people.
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
    """Return the optimum of a results table for a budget of ``factor``.

    ``feasible_shares`` (N, 3): shares that networks can have, by default all. ``epochs``,
    ``include_stopped``: as in ``candidate_estimates``. The same table gives the same optimum.
    Raises SearchError if the candidates do not determine a quadratic surface with one to spare.
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
    """Return the optimum of candidates whose accuracies are estimated already."""
    fits = curved_polynomial_fits(estimates)
    fit = best_fit(fits)
    best_13 = simplex_argmax(fit.coefficients[None], fit.degree, fit.axes, feasible_shares)
    mean, error = fit.predict(best_13)
    draws_B3 = bootstrap_optima(estimates, fits, fit, feasible_shares)
    bounds = np.quantile(draws_B3, [level / 2, 1 - level / 2], axis=0)
    share_intervals = {
        axis: Interval(float(best), float(min(low, best)), float(max(high, best)))
        for axis, best, low, high in zip(AXES, best_13[0], *bounds, strict=True)
    }
    grid_N3 = simplex_lattice(fit.axes) if feasible_shares is None else feasible_shares
    is_equivalent = _is_equivalent(fit, best_13, grid_N3, estimates.shares, level)
    p_flat = _p_value_of_flatness(estimates, fit)
    is_equivalent |= p_flat > level
    equivalent = grid_N3[is_equivalent[: len(grid_N3)]]
    if feasible_shares is None:  # the best may lie between the lattice's points
        equivalent = np.vstack([best_13, equivalent])
    best_shares = Shares(*(float(share) for share in best_13[0]))
    return Optimum(
        shares=best_shares,
        coefficients=best_shares.coefficients(factor),
        accuracy=float(mean[0]),
        standard_error=float(error[0]),
        share_intervals=share_intervals,
        coefficient_intervals={
            COEFFICIENT_OF_AXIS[axis]: coefficient_interval(axis, share_intervals[axis], factor)
            for axis in AXES
        },
        region=_confidence_region(draws_B3, best_13[0], level),
        equivalent_shares=equivalent,
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
    """Fit the polynomials that can have a maximum anywhere on the simplex.

    Raises SearchError if the candidates determine none.
    """
    fits = {
        degree: fit
        for degree, fit in polynomial_fits(estimates).items()
        if degree != DEGREES[0] and np.isfinite(fit.error)
    }
    if not fits:
        raise SearchError(
            "the optimum: need candidates that determine a quadratic surface and one to spare (7 "
            f"that spread over all three shares), got {estimates.count_text}; train more "
            "candidates, or more different ones"
        )
    return fits


def bootstrap_optima(
    estimates: CandidateEstimates,
    fits: dict[str, PolynomialFit],
    fit: PolynomialFit,
    feasible_shares: Floats | None = None,
) -> Floats:
    """Return the optima (B, 3) of B bootstrap tables."""
    rng = np.random.default_rng(0)
    count, scale = len(estimates.values), np.sqrt(estimates.noise_variances + fit.deviation)
    resamples = max(MIN_RESAMPLES, min(MAX_RESAMPLES, MAX_VALUES // count))
    # Leverage makes residuals smaller than errors: a candidate pulls the surface towards itself.
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
    """Return the maxima (B, 3) of the best polynomials for B tables of C values."""
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
    """Return which grid points, then which candidates, are within noise of the best."""
    everywhere = np.vstack([grid_N3, candidates_C3])
    contrast = polynomial_terms(best_13, fit.degree, fit.axes) - polynomial_terms(
        everywhere, fit.degree, fit.axes
    )
    errors = np.sqrt(np.square(contrast @ np.linalg.cholesky(fit.covariance)).sum(axis=1))
    limit = float(stdtrit(fit.df, 1 - level))
    is_equivalent: Mask = contrast @ fit.coefficients <= limit * errors + ROUNDING_ERROR
    return is_equivalent


def _p_value_of_flatness(estimates: CandidateEstimates, fit: PolynomialFit) -> float:
    """Return p of the F test of the surface against a constant."""
    weights = 1 / (estimates.noise_variances + fit.deviation)
    explained = polynomial_terms(estimates.shares, fit.degree, fit.axes) @ fit.coefficients
    mean = float(weights @ explained / weights.sum())
    df = len(fit.coefficients) - 1
    statistic = float(weights @ np.square(explained - mean)) / df
    return float(fdtrc(df, fit.df, statistic))


def _confidence_region(
    draws_B3: Floats, best: Floats, level: float
) -> tuple[tuple[float, float, float], ...]:
    """Return the hull of the bootstrap optima nearest to the best (Mahalanobis)."""
    from scipy.spatial import ConvexHull, QhullError  # slow to import, and needed only here

    deviations = (draws_B3 - best)[:, :2]  # the third share follows
    metric = np.linalg.pinv(
        np.cov(deviations, rowvar=False) + np.outer(deviations.mean(0), deviations.mean(0))
    )
    distances = np.einsum("bi,ij,bj->b", deviations, metric, deviations)
    inner = draws_B3[distances <= np.quantile(distances, 1 - level) + 1e-12]
    try:
        corners = inner[ConvexHull(inner[:, :2]).vertices]
    except QhullError:  # all on a line or at one point
        projection = inner @ np.linalg.svd(inner - inner.mean(axis=0), full_matrices=False)[2][0]
        corners = np.unique(inner[[int(projection.argmin()), int(projection.argmax())]], axis=0)
    return tuple(
        (float(depth), float(width), float(resolution)) for depth, width, resolution in corners
    )


def _notes(estimates: CandidateEstimates, fit: PolynomialFit, undecided: bool) -> tuple[str, ...]:
    notes = []
    if estimates.variance is None:
        notes.append(
            "one seed: noise is estimated from the residuals of the surface, and cannot be "
            "separated from deviations that no smooth surface explains"
        )
    if stopped_count := len(estimates.candidates) - estimates.finished_count:
        notes.append(
            f"{stopped_count} candidates were stopped early; their accuracy at the end is predicted"
        )
    if missing := [axis for index, axis in enumerate(AXES) if index not in fit.axes]:
        notes.append(f"no candidate scales {' or '.join(missing)}")
    if undecided:
        notes.append("nothing is distinguishable: shares make no significant difference")
    return tuple(notes)
