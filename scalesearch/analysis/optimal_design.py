"""Which candidates best determine the surface, chosen before anything is trained.

I-optimal: the prediction of a quadratic surface has the least variance, in the mean over all places
that can be had (Jones & Goos, J. Quality Technology 44, 2012). Such a design sits on few places, on
which nothing would show that the surface is no quadratic; so a fifth of it are check points, as far
as can be from all others.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.polynomials import MIN_SCALED_SHARE, polynomial_terms, simplex_lattice
from scalesearch.errors import SearchError

Indices: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

DEGREE = "quadratic"
CHECK_FRACTION = 1 / 5
"""Part of the design that is check points: with a third, it is no better than a lattice."""
MAX_DISTANCE = 0.15
"""A place of the simplex counts as one that can be had with a candidate so near."""
LATTICE_STEPS = 16
RIDGE = 1e-7
"""Keeps candidates that do not determine the surface comparable."""
MAX_PASSES = 30
TOLERANCE = 1e-9
"""Relative differences below it are none, so that every machine chooses alike."""


def i_optimal_design(shares_N3: Floats, count: int, *, included: Sequence[int] = ()) -> list[int]:
    """``count`` places among the candidates: first those that determine the surface, in rising
    order, then the check points, the farthest first.

    ``given``: places of candidates that are trained anyway (references); they count, and are not
    chosen again. Fewer come where fewer are left. The same candidates give the same design. Under
    a second for some thousands. Raises SearchError for shares that are not finite, or fewer than
    one place asked for.
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
    axes = axes_of_shares(shares_N3)
    candidate_terms = polynomial_terms(shares_N3, DEGREE, axes)
    moments = _moment_matrix(reachable_lattice(shares_N3, axes), axes)
    chosen = _fedorov_exchange(candidate_terms, moments, available, fixed, count - check_count)
    return sorted(chosen) + _farthest_points(shares_N3, available, [*fixed, *chosen], check_count)


def axes_of_shares(shares_N3: Floats) -> tuple[int, ...]:
    """The axes that candidates scale at all."""
    return tuple(axis for axis in range(3) if shares_N3[:, axis].max() > MIN_SCALED_SHARE)


def reachable_lattice(shares_N3: Floats, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """The places of the simplex that candidates come near, evenly spaced; their own where these
    are few."""
    from scipy.spatial import KDTree

    grid = simplex_lattice(axes, LATTICE_STEPS)
    reachable = np.flatnonzero(np.asarray(KDTree(shares_N3).query(grid)[0]) <= MAX_DISTANCE)
    return (
        grid[reachable]
        if len(reachable) > polynomial_terms(grid[:1], DEGREE, axes).shape[1]
        else shares_N3
    )


def mean_prediction_variance(design_N3: Floats, places_M3: Floats | None = None) -> float:
    """Of the prediction of a quadratic surface, in the mean over places (by default the simplex),
    in units of one candidate's variance; infinite where the candidates do not determine it."""
    axes = axes_of_shares(design_N3)
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
    """Fedorov's exchange: each place in turn is given up for the best other, until none is better.

    It begins from a design that grows by the best place at a time.
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
    return [int(available[place]) for place in chosen]


def _best_addition(
    terms_FP: Floats, information: Floats, moments: Floats, taken: Mask
) -> tuple[int, float]:
    """The place whose addition leaves the least mean variance, and that variance; of equal ones,
    the first."""
    values = np.where(taken, np.inf, _variance_if_added(terms_FP, information, moments))
    least = float(values.min())
    return int(np.argmax(values <= least * (1 + TOLERANCE))), least


def _variance_if_added(terms_FP: Floats, information: Floats, moments: Floats) -> Floats:
    """Mean variance with each of these added, by the formula of Sherman and Morrison."""
    inverse = np.linalg.inv(information)
    spread = terms_FP @ inverse
    gain = np.einsum("fp,pq,fq->f", spread, moments, spread)
    gain /= 1 + np.einsum("fp,fp->f", spread, terms_FP)
    values: Floats = float(np.trace(inverse @ moments)) - gain
    return values


def _farthest_points(
    shares_N3: Floats, available: Indices, chosen: list[int], count: int
) -> list[int]:
    """Places one after the other, each as far as can be from the nearest of those before it."""
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
