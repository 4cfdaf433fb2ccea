"""I-optimal design: the candidates that best determine the surface.

An I-optimal design minimises the prediction variance of a quadratic surface, averaged over all
reachable shares (Jones & Goos, J. Quality Technology 44, 2012). It uses few places, which would not
reveal that the surface is not quadratic. So a fifth of the design are check points, as far as
possible from all others.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scalesearch.analysis.additive_model import Floats, Mask
from scalesearch.analysis.polynomials import polynomial_terms, scaled_axes, simplex_lattice
from scalesearch.errors import SearchError

Indices: TypeAlias = NDArray[np.int64]

DEGREE = "quadratic"
CHECK_FRACTION = 1 / 5
"""Fraction of check points; with a third, the design is no better than a lattice."""
MAX_DISTANCE = 0.15
"""Distance up to which a candidate makes a place of the simplex reachable."""
LATTICE_STEPS = 16
RIDGE = 1e-7
"""Added to the information matrix, so that it can be inverted for every set of candidates."""
MAX_PASSES = 30
TOLERANCE = 1e-9
"""Smaller relative differences count as ties, so that every machine chooses alike."""


def i_optimal_design(shares_N3: Floats, count: int, *, included: Sequence[int] = ()) -> list[int]:
    """Choose ``count`` candidates and return their indices.

    First come the indices that determine the surface, in increasing order, then the check points,
    the farthest first. ``included``: indices of candidates that are trained anyway (references);
    they count towards the design and are not chosen again. The result is shorter if fewer
    candidates are left. The same candidates give the same design. Takes less than a second for
    some thousands. Raises SearchError for shares that are not finite, and for a count below 1.
    """
    if count < 1:
        raise SearchError(f"the design: need at least 1 candidate, got {count}")
    if not np.isfinite(shares_N3).all():
        raise SearchError("the design: need finite shares for every candidate")
    fixed = list(dict.fromkeys(included))
    available = np.setdiff1d(np.arange(len(shares_N3)), fixed)
    if count >= len(available):
        return [int(index) for index in available]
    check_count = round(count * CHECK_FRACTION)
    axes = scaled_axes(shares_N3)
    candidate_terms = polynomial_terms(shares_N3, DEGREE, axes)
    moments = _moment_matrix(reachable_lattice(shares_N3, axes), axes)
    chosen = _fedorov_exchange(candidate_terms, moments, available, fixed, count - check_count)
    return sorted(chosen) + _farthest_points(shares_N3, available, [*fixed, *chosen], check_count)


def reachable_lattice(shares_N3: Floats, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """Return lattice points near candidates, or the candidates' shares if few."""
    from scipy.spatial import KDTree

    grid = simplex_lattice(axes, LATTICE_STEPS)
    reachable = np.flatnonzero(np.asarray(KDTree(shares_N3).query(grid)[0]) <= MAX_DISTANCE)
    return (
        grid[reachable]
        if len(reachable) > polynomial_terms(grid[:1], DEGREE, axes).shape[1]
        else shares_N3
    )


def mean_prediction_variance(design_N3: Floats, places_M3: Floats | None = None) -> float:
    """Return the mean prediction variance of a quadratic surface fitted to a design.

    The mean is over the places given, by default the simplex. The unit is the variance of one
    candidate. Infinite if the design does not determine the surface.
    """
    axes = scaled_axes(design_N3)
    design_terms = polynomial_terms(design_N3, DEGREE, axes)
    if np.linalg.matrix_rank(design_terms, tol=1e-6) < design_terms.shape[1]:
        return float("inf")
    moments = _moment_matrix(
        simplex_lattice(axes, LATTICE_STEPS) if places_M3 is None else places_M3, axes
    )
    return float(np.trace(np.linalg.solve(design_terms.T @ design_terms, moments)))


def _moment_matrix(places_M3: Floats, axes: tuple[int, ...]) -> Floats:
    place_terms = polynomial_terms(places_M3, DEGREE, axes)
    moments: Floats = place_terms.T @ place_terms / len(place_terms)
    return moments


def _fedorov_exchange(
    terms_NP: Floats, moments: Floats, available: Indices, fixed: list[int], count: int
) -> list[int]:
    """Choose ``count`` of the available candidates by Fedorov's exchange algorithm.

    The initial design grows by the best candidate at a time. Then each candidate in turn is
    exchanged for the best other one, until no exchange improves the design.
    """
    available_terms = terms_NP[available]
    information = RIDGE * np.eye(terms_NP.shape[1]) + terms_NP[fixed].T @ terms_NP[fixed]
    taken = np.zeros(len(available), dtype=bool)
    chosen: list[int] = []
    for _ in range(count):
        best = _best_addition(available_terms, information, moments, taken)[0]
        chosen.append(best)
        taken[best] = True
        information = information + np.outer(available_terms[best], available_terms[best])
    for _ in range(MAX_PASSES):
        improved = False
        for position, index in enumerate(chosen):
            information = information - np.outer(available_terms[index], available_terms[index])
            taken[index] = False
            best, value = _best_addition(available_terms, information, moments, taken)
            current = _variance_if_added(available_terms[[index]], information, moments)[0]
            if value < current * (1 - TOLERANCE):
                chosen[position], improved = best, True
            taken[chosen[position]] = True
            information = information + np.outer(
                available_terms[chosen[position]], available_terms[chosen[position]]
            )
        if not improved:
            break
    return [int(available[index]) for index in chosen]


def _best_addition(
    terms_FP: Floats, information: Floats, moments: Floats, taken: Mask
) -> tuple[int, float]:
    """Return the candidate that reduces the mean variance most, and that variance.

    Of equal candidates, the first.
    """
    values = np.where(taken, np.inf, _variance_if_added(terms_FP, information, moments))
    least = float(values.min())
    return int(np.argmax(values <= least * (1 + TOLERANCE))), least


def _variance_if_added(terms_FP: Floats, information: Floats, moments: Floats) -> Floats:
    """Return the mean variance after adding each candidate (Sherman-Morrison formula)."""
    inverse = np.linalg.inv(information)
    spread = terms_FP @ inverse
    gain = np.einsum("fp,pq,fq->f", spread, moments, spread)
    gain /= 1 + np.einsum("fp,fp->f", spread, terms_FP)
    values: Floats = float(np.trace(inverse @ moments)) - gain
    return values


def _farthest_points(
    shares_N3: Floats, available: Indices, chosen: list[int], count: int
) -> list[int]:
    """Choose candidates one by one, each farthest from its nearest chosen one."""
    distances = np.full(len(available), np.inf)
    for index in chosen:
        distances = np.minimum(
            distances, np.linalg.norm(shares_N3[available] - shares_N3[index], axis=1)
        )
    points: list[int] = []
    for _ in range(count):
        best = int(np.argmax(distances >= distances.max() * (1 - TOLERANCE)))
        points.append(int(available[best]))
        distances_to_best = np.linalg.norm(
            shares_N3[available] - shares_N3[available[best]], axis=1
        )
        distances = np.minimum(
            distances, np.where(np.arange(len(available)) == best, -1.0, distances_to_best)
        )
    return points
