"""Which differences a plan of candidates and seeds can show, and what a given one would take.

All of it is about runs that are paired by seed: their noise is what is left after candidates and
seeds, and a difference of two candidates over n seeds has a variance of 2 / n times its square.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, stdtrit

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.polynomials import (
    AXES,
    MAX_CONDITION,
    MIN_SCALED_SHARE,
    polynomial_terms,
    simplex_argmax,
    simplex_lattice,
)
from scalesearch.errors import SearchError

LEVEL, POWER = 0.1, 0.8
MAX_SEEDS = 1000
DIFFERENCES = (0.005, 0.01, 0.02)
"""Accuracies apart, for which the seeds are told that would show them."""
HILL_HEIGHT = 0.05
"""How far the corners lie below the top of the surface whose intervals are foretold."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class StatisticalPower:
    """Accuracies are fractions; None stands for what cannot be known of this plan.

    ``noise``: standard deviation of a run after its candidate and its seed; ``basis``: in words,
    what that is based on. ``two``: the least difference between two candidates chosen beforehand
    that comes out as significant at ``level`` with a probability of ``power``. ``references``: the
    same for each of ``comparisons`` that are corrected for being several. ``surface``: standard
    error of the fitted surface, mean over the simplex. ``hill``, ``widths``: what the intervals of
    the three shares would be on a smooth surface whose corners lie so far below its top in the
    middle. ``needed``: (difference, seeds) that would show it between two candidates.
    """

    noise: float
    basis: str
    candidates: int
    seeds: int
    level: float
    power: float
    two: float | None
    comparisons: int
    references: float | None
    surface: float | None
    hill: float
    widths: dict[str, float]
    needed: tuple[tuple[float, int], ...]


def statistical_power(
    shares_N3: Floats,
    noise: float,
    seeds: int,
    *,
    basis: str,
    comparisons: int = 1,
    level: float = LEVEL,
    power: float = POWER,
) -> StatisticalPower:
    """The power of candidates with these shares, each trained with so many seeds.

    Raises SearchError for a noise that is no number above 0, or no candidates.
    """
    count = len(shares_N3)
    if not (np.isfinite(noise) and noise > 0):
        raise SearchError(f"the power: need a noise above 0, got {noise!r}")
    if not count or seeds < 1:
        raise SearchError(f"the power: need candidates and seeds, got {count} and {seeds}")
    error, widths = _surface_precision(shares_N3, noise / seeds**0.5, level)
    tests = max(1, comparisons)
    return StatisticalPower(
        noise=noise,
        basis=basis,
        candidates=count,
        seeds=seeds,
        level=level,
        power=power,
        two=detectable_difference(noise, seeds, count, level=level, power=power),
        comparisons=comparisons,
        references=detectable_difference(noise, seeds, count, level=level / tests, power=power),
        surface=error,
        hill=HILL_HEIGHT,
        widths=widths,
        needed=tuple(
            (difference, seeds_needed(difference, noise, count, level=level, power=power))
            for difference in DIFFERENCES
        ),
    )


def detectable_difference(
    noise: float, seeds: int, candidates: int, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The least difference of two candidates' means that a two-sided t test finds so often.

    ``candidates``: whose noise is pooled. None where there is none to be known: a single seed or a
    single candidate.
    """
    df = (candidates - 1) * (seeds - 1)
    if df < 1:
        return None
    limit = float(stdtrit(df, 1 - level / 2))
    low, high = 0.0, 2 * limit + 10.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if 1 - nctdtr(df, middle, limit) < power:
            low = middle
        else:
            high = middle
    return float(high * noise * (2 / seeds) ** 0.5)


def seeds_needed(
    difference: float,
    noise: float,
    candidates: int = 2,
    *,
    level: float = LEVEL,
    power: float = POWER,
) -> int:
    """The fewest seeds with which two candidates so far apart are told apart so often; at most
    ``MOST_SEEDS``, which stands for any number beyond it."""

    def is_insufficient(seeds: int) -> bool:
        shown_difference = detectable_difference(noise, seeds, candidates, level=level, power=power)
        return shown_difference is None or shown_difference > abs(difference)

    low, high = 1, 2
    while high < MAX_SEEDS and is_insufficient(high):
        low, high = high, min(2 * high, MAX_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_insufficient(middle) else (low, middle)
    return high


def _surface_precision(
    shares_N3: Floats, error: float, level: float
) -> tuple[float | None, dict[str, float]]:
    """Mean standard error of the quadratic surface, and the widths of its optimum's intervals."""
    axes = tuple(axis for axis in range(3) if shares_N3[:, axis].max() > MIN_SCALED_SHARE)
    if len(axes) < 2:
        return None, {}
    design = polynomial_terms(shares_N3, "quadratic", axes)
    if len(design) <= design.shape[1] or np.linalg.cond(design) > MAX_CONDITION:
        return None, {}
    covariance = error**2 * np.linalg.inv(design.T @ design)
    lattice_terms = polynomial_terms(simplex_lattice(axes), "quadratic", axes)
    variances = np.einsum("np,pq,nq->n", lattice_terms, covariance, lattice_terms)
    draws = np.random.default_rng(0).multivariate_normal(hill_coefficients(axes), covariance, DRAWS)
    bounds = np.quantile(
        simplex_argmax(draws, "quadratic", axes), [level / 2, 1 - level / 2], axis=0
    )
    widths = dict(zip(AXES, (float(width) for width in np.diff(bounds, axis=0)[0]), strict=True))
    return float(np.sqrt(variances.mean())), widths


def hill_coefficients(axes: tuple[int, ...] = (0, 1, 2), height: float = HILL_HEIGHT) -> Floats:
    """The quadratic whose top, 0, is in the middle of the axes and whose corners are that low."""
    grid = simplex_lattice(axes)
    middle = np.array([axis in axes for axis in range(3)]) / len(axes)
    squared_distances = np.square(grid - middle).sum(axis=1)
    coefficients: Floats = np.linalg.lstsq(
        polynomial_terms(grid, "quadratic", axes),
        -height * squared_distances / max(float(squared_distances.max()), 1e-12),
    )[0]
    return coefficients
