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

from scalesearch.analysis.mixture import lattice, terms
from scalesearch.analysis.polynomials import SCALED
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError

Places: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

DEGREE = "quadratic"
CHECKS = 1 / 5
"""Part of the design that is check points: with a third, it is no better than a lattice."""
REACH = 0.15
"""A place of the simplex counts as one that can be had with a candidate so near."""
STEPS = 16
RIDGE = 1e-7
"""Keeps candidates that do not determine the surface comparable."""
PASSES = 30
SAME = 1e-9
"""Relative differences below it are none, so that every machine chooses alike."""


def design(shares_N3: Floats, count: int, *, given: Sequence[int] = ()) -> list[int]:
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
    fixed = list(dict.fromkeys(given))
    free = np.setdiff1d(np.arange(len(shares_N3)), fixed)
    if count >= len(free):
        return [int(place) for place in free]
    checks = round(count * CHECKS)
    axes = scaled_axes(shares_N3)
    known = terms(shares_N3, DEGREE, axes)
    moments = _moments(places(shares_N3, axes), axes)
    chosen = _exchanged(known, moments, free, fixed, count - checks)
    return sorted(chosen) + _farthest(shares_N3, free, [*fixed, *chosen], checks)


def scaled_axes(shares_N3: Floats) -> tuple[int, ...]:
    """The axes that candidates scale at all."""
    return tuple(axis for axis in range(3) if shares_N3[:, axis].max() > SCALED)


def places(shares_N3: Floats, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """The places of the simplex that candidates come near, evenly spaced; their own where these
    are few."""
    from scipy.spatial import KDTree

    grid = lattice(axes, STEPS)
    near = np.flatnonzero(np.asarray(KDTree(shares_N3).query(grid)[0]) <= REACH)
    return grid[near] if len(near) > terms(grid[:1], DEGREE, axes).shape[1] else shares_N3


def mean_variance(design_N3: Floats, places_M3: Floats | None = None) -> float:
    """Of the prediction of a quadratic surface, in the mean over places (by default the simplex),
    in units of one candidate's variance; infinite where the candidates do not determine it."""
    axes = scaled_axes(design_N3)
    known = terms(design_N3, DEGREE, axes)
    if np.linalg.matrix_rank(known, tol=1e-6) < known.shape[1]:
        return float("inf")
    moments = _moments(lattice(axes, STEPS) if places_M3 is None else places_M3, axes)
    return float(np.trace(np.linalg.solve(known.T @ known, moments)))


def _moments(places_M3: Floats, axes: tuple[int, ...]) -> Floats:
    known = terms(places_M3, DEGREE, axes)
    moments: Floats = known.T @ known / len(known)
    return moments


def _exchanged(
    known_NP: Floats, moments: Floats, free: Places, fixed: list[int], count: int
) -> list[int]:
    """Fedorov's exchange: each place in turn is given up for the best other, until none is better.

    It begins from a design that grows by the best place at a time.
    """
    pool = known_NP[free]
    information = RIDGE * np.eye(known_NP.shape[1]) + known_NP[fixed].T @ known_NP[fixed]
    taken = np.zeros(len(free), dtype=bool)
    chosen: list[int] = []
    for _ in range(count):
        best = _best(pool, information, moments, taken)[0]
        chosen.append(best)
        taken[best] = True
        information = information + np.outer(pool[best], pool[best])
    for _ in range(PASSES):
        moved = False
        for turn, place in enumerate(chosen):
            information = information - np.outer(pool[place], pool[place])
            taken[place] = False
            best, value = _best(pool, information, moments, taken)
            own = _value(pool[[place]], information, moments)[0]
            if value < own * (1 - SAME):
                chosen[turn], moved = best, True
            taken[chosen[turn]] = True
            information = information + np.outer(pool[chosen[turn]], pool[chosen[turn]])
        if not moved:
            break
    return [int(free[place]) for place in chosen]


def _best(pool_FP: Floats, information: Floats, moments: Floats, taken: Mask) -> tuple[int, float]:
    """The place whose addition leaves the least mean variance, and that variance; of equal ones,
    the first."""
    values = np.where(taken, np.inf, _value(pool_FP, information, moments))
    least = float(values.min())
    return int(np.argmax(values <= least * (1 + SAME))), least


def _value(pool_FP: Floats, information: Floats, moments: Floats) -> Floats:
    """Mean variance with each of these added, by the formula of Sherman and Morrison."""
    inverse = np.linalg.inv(information)
    spread = pool_FP @ inverse
    gain = np.einsum("fp,pq,fq->f", spread, moments, spread)
    gain /= 1 + np.einsum("fp,fp->f", spread, pool_FP)
    values: Floats = float(np.trace(inverse @ moments)) - gain
    return values


def _farthest(shares_N3: Floats, free: Places, chosen: list[int], count: int) -> list[int]:
    """Places one after the other, each as far as can be from the nearest of those before it."""
    away = np.full(len(free), np.inf)
    for place in chosen:
        away = np.minimum(away, np.linalg.norm(shares_N3[free] - shares_N3[place], axis=1))
    found: list[int] = []
    for _ in range(count):
        best = int(np.argmax(away >= away.max() * (1 - SAME)))
        found.append(int(free[best]))
        apart = np.linalg.norm(shares_N3[free] - shares_N3[free[best]], axis=1)
        away = np.minimum(away, np.where(np.arange(len(free)) == best, -1.0, apart))
    return found
