"""Statistical power: detectable differences, and the seeds a difference needs.

Runs are paired by seed. Their noise is what remains after removing candidate and seed effects, and
a difference of two candidates over n seeds has a variance of 2 / n * noise^2.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, stdtrit

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.bisection import bisection
from scalesearch.analysis.polynomials import (
    AXES,
    MAX_CONDITION,
    polynomial_terms,
    scaled_axes,
    simplex_argmax,
    simplex_lattice,
)
from scalesearch.errors import SearchError

LEVEL, POWER = 0.1, 0.8
MAX_SEEDS = 1000
DIFFERENCES = (0.005, 0.01, 0.02)
"""Differences in accuracy for which the number of seeds is reported."""
HILL_HEIGHT = 0.05
"""Height in accuracy of the assumed surface: its top minus its corners."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class StatisticalPower:
    """The power of a plan; accuracies are fractions, and None means unknown.

    ``noise``: standard deviation of a run after removing candidate and seed effects. ``basis``:
    where the noise comes from. ``two``: smallest difference between two candidates, chosen
    beforehand, that is significant at ``level`` with probability ``power``. ``references``: the
    same for each of ``comparisons`` corrected for their number. ``surface``: mean standard error of
    the fitted surface over the simplex. ``widths``: expected widths of the three shares' intervals
    on a smooth surface whose corners lie ``hill`` below its top in the middle. ``needed``: pairs
    (difference, seeds needed to detect it between two candidates).
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
    """Return the power of candidates with these shares and so many seeds each.

    Raises SearchError if the noise is not a number above 0, or without candidates or seeds.
    """
    count = len(shares_N3)
    if not (np.isfinite(noise) and noise > 0):
        raise SearchError(f"power: need a noise above 0, got {noise!r}")
    if not count or seeds < 1:
        raise SearchError(f"power: need candidates and seeds, got {count} and {seeds}")
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
    """Return the smallest difference that a two-sided t test detects with ``power``.

    ``candidates``: number of candidates whose noise is pooled. None for a single seed or a single
    candidate, where the noise is unknown.
    """
    df = (candidates - 1) * (seeds - 1)
    if df < 1:
        return None
    limit = float(stdtrit(df, 1 - level / 2))
    _, statistic = bisection(
        lambda value: bool(1 - nctdtr(df, value, limit) < power), 0.0, 2 * limit + 10.0, 1e-6
    )
    return float(statistic * noise * (2 / seeds) ** 0.5)


def seeds_needed(
    difference: float,
    noise: float,
    candidates: int = 2,
    *,
    level: float = LEVEL,
    power: float = POWER,
) -> int:
    """Return the fewest seeds that detect a difference with ``power``.

    The result is at most ``MAX_SEEDS``, which stands for any larger number.
    """

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
    """Return the mean standard error of the surface, and widths of intervals."""
    axes = scaled_axes(shares_N3)
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
    """Return a quadratic with top 0 in the middle and corners ``height`` below."""
    grid = simplex_lattice(axes)
    middle = np.array([axis in axes for axis in range(3)]) / len(axes)
    squared_distances = np.square(grid - middle).sum(axis=1)
    coefficients: Floats = np.linalg.lstsq(
        polynomial_terms(grid, "quadratic", axes),
        -height * squared_distances / max(float(squared_distances.max()), 1e-12),
    )[0]
    return coefficients
