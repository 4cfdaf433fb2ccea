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

from scalesearch.analysis.mixture import AXES, DEGREES, highest, lattice, terms
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.polynomials import SCALED, Polynomial, missed, polynomials
from scalesearch.analysis.twoway import EXACT, Floats
from scalesearch.errors import SearchError
from scalesearch.scaling import Coefficients, Shares

Mask: TypeAlias = NDArray[np.bool_]

REPEATS, LEAST_REPEATS = 1000, 200
MOST_VALUES = 1_000_000
"""Drawn at once; many candidates are bootstrapped less often, and hardly need it."""
GREEK = {"depth": "alpha", "width": "beta", "resolution": "gamma"}


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
    intervals: dict[str, Interval]
    region: tuple[tuple[float, float, float], ...]
    flat: Floats
    flat_part: float
    flat_candidates: tuple[str, ...]
    deserves: dict[str, float]
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
    stopped: bool = True,
    within: Floats | None = None,
) -> Optimum:
    """The optimum of a results table for a budget of ``factor``.

    ``within`` (N, 3): shares that can be had; by default all. ``epochs``, ``stopped``: as in
    ``observations``. The same table gives the same answer. Raises SearchError where the candidates
    do not determine a quadratic surface with one to spare.
    """
    observed = observations(records, epochs=epochs, stopped=stopped)
    return of_observations(observed, factor, level=level, within=within)


def of_observations(
    observed: Observations, factor: float, *, level: float = 0.1, within: Floats | None = None
) -> Optimum:
    """The same, of candidates with their values."""
    fits = curved(observed)
    fit = min(fits.values(), key=lambda one: one.error)
    best_13 = highest(fit.coefficients[None], fit.degree, fit.axes, within)
    mean, error = fit.predict(best_13)
    drawn_B3 = optima(observed, fits, fit, within)
    bounds = np.quantile(drawn_B3, [level / 2, 1 - level / 2], axis=0)
    shares = {
        axis: Interval(float(best), float(min(low, best)), float(max(high, best)))
        for axis, best, low, high in zip(AXES, best_13[0], *bounds, strict=True)
    }
    places = lattice(fit.axes) if within is None else within
    flat, p_flat = _alike(fit, best_13, places, observed.shares, level), _p_flat(observed, fit)
    flat |= p_flat > level
    alike = places[flat[: len(places)]]  # on a lattice the best may lie between all of these
    known = Shares(*(float(share) for share in best_13[0]))
    return Optimum(
        shares=known,
        coefficients=known.coefficients(factor),
        accuracy=float(mean[0]),
        standard_error=float(error[0]),
        share_intervals=shares,
        intervals={GREEK[axis]: _as_coefficient(axis, shares[axis], factor) for axis in AXES},
        region=_region(drawn_B3, best_13[0], level),
        flat=alike if within is not None else np.vstack([best_13, alike]),
        flat_part=float(flat[: len(places)].mean()),
        flat_candidates=tuple(
            name
            for name, alike in zip(observed.candidates, flat[len(places) :], strict=True)
            if alike
        ),
        deserves={
            axis: float((drawn_B3[:, index] > SCALED).mean()) for index, axis in enumerate(AXES)
        },
        p_flat=p_flat,
        degree=fit.degree,
        level=level,
        notes=_notes(observed, fit, p_flat > level),
    )


def curved(observed: Observations) -> dict[str, Polynomial]:
    """The polynomials that can be highest anywhere; refused where the candidates determine none."""
    fits = {
        degree: fit
        for degree, fit in polynomials(observed).items()
        if degree != DEGREES[0] and np.isfinite(fit.error)
    }
    if not fits:
        raise SearchError(
            "the optimum: need candidates that determine a quadratic surface and one to spare (7 "
            f"that spread over all three shares), got {observed.counted}; train more, or further "
            "apart"
        )
    return fits


def optima(
    observed: Observations,
    fits: dict[str, Polynomial],
    fit: Polynomial,
    within: Floats | None = None,
) -> Floats:
    """Where the surface is highest in B tables that might as well have come; (B, 3)."""
    random = np.random.default_rng(0)
    count, scale = len(observed.values), np.sqrt(observed.noise + fit.deviation)
    repeats = max(LEAST_REPEATS, min(REPEATS, MOST_VALUES // count))
    # Residuals are smaller than errors where a candidate pulls the surface to itself.
    left = fit.residuals / np.sqrt(np.maximum(1 - fit.leverages, 0.05))
    left = left / scale
    left = left - left.mean()
    left = left / max(float(np.sqrt(np.square(left).mean())), EXACT)
    doubt = np.sqrt(fit.df / random.chisquare(fit.df, (repeats, 1)))
    errors = left[random.integers(0, count, (repeats, count))] * scale * doubt
    expected = terms(observed.shares, fit.degree, fit.axes) @ fit.coefficients
    values = expected + errors
    return tops(values, observed, fits, within)


def tops(
    values_BC: Floats,
    observed: Observations,
    fits: dict[str, Polynomial],
    within: Floats | None = None,
) -> Floats:
    """Where the polynomial of least error is highest, for each of B tables of C values; (B, 3)."""
    solved, missing = {}, []
    for degree, fit in fits.items():
        solved[degree] = values_BC @ fit.solver.T
        explained = solved[degree] @ terms(observed.shares, degree, fit.axes).T
        missing.append(missed(values_BC - explained, fit.leverages, observed))
    chosen = np.argmin(missing, axis=0)
    found = np.empty((len(values_BC), 3))
    for index, (degree, fit) in enumerate(fits.items()):
        if (mine := chosen == index).any():
            found[mine] = highest(solved[degree][mine], degree, fit.axes, within)
    return found


def _alike(
    fit: Polynomial, best_13: Floats, places_N3: Floats, candidates_C3: Floats, level: float
) -> Mask:
    """Which places, and then which candidates, cannot be told from the best, each for itself."""
    everywhere = np.vstack([places_N3, candidates_C3])
    apart = terms(best_13, fit.degree, fit.axes) - terms(everywhere, fit.degree, fit.axes)
    errors = np.sqrt(np.square(apart @ np.linalg.cholesky(fit.covariance)).sum(axis=1))
    limit = float(stdtrit(fit.df, 1 - level))
    alike: Mask = apart @ fit.coefficients <= limit * errors + EXACT
    return alike


def _p_flat(observed: Observations, fit: Polynomial) -> float:
    """Of a surface against one accuracy for all: the F test with the fit's own errors."""
    weights = 1 / (observed.noise + fit.deviation)
    explained = terms(observed.shares, fit.degree, fit.axes) @ fit.coefficients
    middle = float(weights @ explained / weights.sum())
    freedom = len(fit.coefficients) - 1
    statistic = float(weights @ np.square(explained - middle)) / freedom
    return float(fdtrc(freedom, fit.df, statistic))


def _as_coefficient(axis: str, share: Interval, factor: float) -> Interval:
    """F^share for depth, F^(share / 2) for width and resolution; a shrinking F turns the bounds."""
    power = 1.0 if axis == "depth" else 0.5
    low, high = sorted(factor ** (power * bound) for bound in (share.low, share.high))
    return Interval(factor ** (power * share.value), low, high)


def _region(drawn_B3: Floats, best: Floats, level: float) -> tuple[tuple[float, float, float], ...]:
    """The hull of those of the optima drawn that lie nearest to the best, in their own measure."""
    from scipy.spatial import ConvexHull, QhullError  # slow to import, and needed for this alone

    away = (drawn_B3 - best)[:, :2]  # the third share follows
    metric = np.linalg.pinv(np.cov(away, rowvar=False) + np.outer(away.mean(0), away.mean(0)))
    distances = np.einsum("bi,ij,bj->b", away, metric, away)
    inner = drawn_B3[distances <= np.quantile(distances, 1 - level) + 1e-12]
    try:
        corners = inner[ConvexHull(inner[:, :2]).vertices]
    except QhullError:  # all on a line, or in a point
        along = inner @ np.linalg.svd(inner - inner.mean(axis=0), full_matrices=False)[2][0]
        corners = np.unique(inner[[int(along.argmin()), int(along.argmax())]], axis=0)
    return tuple((float(depth), float(width), float(rest)) for depth, width, rest in corners)


def _notes(observed: Observations, fit: Polynomial, undecided: bool) -> tuple[str, ...]:
    notes = []
    if observed.variance is None:
        notes.append(
            "one seed: noise is taken from what the surface leaves over, and cannot be told from "
            "what no smooth surface explains"
        )
    if told := len(observed.candidates) - observed.finished:
        notes.append(f"{told} candidates were stopped early and are predicted from there")
    if missing := [axis for index, axis in enumerate(AXES) if index not in fit.axes]:
        notes.append(f"no candidate scales {' or '.join(missing)}")
    if undecided:
        notes.append("nothing is distinguishable: shares make no clear difference")
    return tuple(notes)
