"""Comparisons of candidates paired by seed.

A seed fixes data order, augmentation and split for all candidates, so it moves them alike. The
residuals after removing candidate and seed effects (least squares, holes allowed) are the noise of
a comparison. It is pooled over all candidates, since two or three seeds of one candidate are too
few to estimate it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import gammaincinv, ndtr, stdtr, stdtrit

from scalesearch.analysis.additive_model import (
    ROUNDING_ERROR,
    AdditiveModel,
    Floats,
    additive_model,
)
from scalesearch.analysis.bisection import bisection
from scalesearch.errors import SearchError

Accuracies: TypeAlias = Mapping[str, Mapping[int, float]]
"""Candidate -> seed -> accuracy."""


@dataclass(frozen=True, slots=True)
class PairedNoise:
    """The noise of accuracies after removing candidate and seed effects.

    ``variance``: of one paired run, None if no two candidates share two seeds. ``df``: its degrees
    of freedom, (candidates - 1) * (seeds - 1) for a full table.
    """

    variance: float | None
    df: int

    def standard_error(self, seeds: int) -> float | None:
        """Return the standard error of a mean over ``seeds``, compared on the same seeds."""
        return None if self.variance is None else (self.variance / seeds) ** 0.5


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The leader's accuracy minus the other's.

    ``low``, ``high``: two-sided interval of 1 - level. ``p``: two-sided p-value of no difference,
    not corrected for the leader having been chosen among several.
    """

    mean: float
    standard_error: float
    df: int
    low: float
    high: float
    p: float


def last_epoch(records: pd.DataFrame, epochs: int | None = None) -> int:
    """Return ``epochs``, by default the last epoch of the table; 0 for an empty table."""
    return epochs or (int(records["epoch"].max()) if len(records) else 0)


def accuracies(records: pd.DataFrame, epoch: int) -> dict[str, dict[int, float]]:
    """Return candidate -> seed -> accuracy of a results table at an epoch."""
    rows = records[records["epoch"] == epoch]
    table: dict[str, dict[int, float]] = {}
    for name, seed, accuracy in zip(rows["candidate"], rows["seed"], rows["accuracy"], strict=True):
        table.setdefault(str(name), {})[int(seed)] = float(accuracy)
    return table


def paired_noise(values: Accuracies) -> PairedNoise:
    """Return the residual variance of a table of candidates and seeds."""
    if not any(values.values()):
        return PairedNoise(None, 0)
    table = additive_model(values)
    return PairedNoise(table.variance, table.df)


def paired_difference(
    values: Accuracies, leader: str, other: str, *, level: float = 0.1
) -> PairedDifference:
    """Return how far ``other`` is behind ``leader``, with the whole table's noise.

    A seed that only one of the two has counts as far as the other candidates determine its effect.
    Raises SearchError for a candidate without runs, if no two candidates share two seeds, and if
    no seeds connect the two.
    """
    for name in (leader, other):
        if not values.get(name):
            raise SearchError(f"candidate {name}: need at least one run to compare, got none")
    table = additive_model(values)
    if table.variance is None:
        raise SearchError(
            f"{leader} and {other}: need two candidates with two seeds in common to know the "
            f"noise, got {len(table.rows)} candidates on seeds {list(table.columns)}; "
            "train more seeds"
        )
    first, second = table.rows.index(leader), table.rows.index(other)
    profiles = table.profiles
    variance_factor = table.variance_of_difference(profiles[[second]], profiles[first])[0]
    if np.isinf(variance_factor):
        raise SearchError(f"{leader} and {other}: no seeds connect them; train one seed on both")
    mean = float(table.row_effects[first] - table.row_effects[second])
    error = float(np.sqrt(table.variance * variance_factor)) if leader != other else 0.0
    half_width = float(stdtrit(table.df, 1 - level / 2)) * error
    if error > ROUNDING_ERROR:
        p = float(2 * stdtr(table.df, -abs(mean) / error))
    else:
        p = float(abs(mean) <= ROUNDING_ERROR)
    return PairedDifference(mean, error, table.df, mean - half_width, mean + half_width, p)


def may_still_win(
    values: Accuracies, level: float = 0.1, *, interim_tests: int = 1
) -> dict[str, bool]:
    """Return which candidates may still be the best: no other clearly beats them.

    The truly best candidate is dropped with a probability of at most ``level``, however many
    candidates there are and however close they are: each is compared with all others at Dunnett's
    one-sided critical value (multiple comparisons with the best; Hsu, Annals of Statistics 12,
    1984). ``interim_tests``: how many times candidates are dropped in one race (one less than its
    seeds); four tests at the full level each would exceed twice the level. With one candidate or
    one seed, and where two candidates share no seed, all may win.
    """
    may_win = dict.fromkeys(values, True)
    if sum(map(bool, values.values())) < 2:
        return may_win
    table = additive_model(values)
    if table.variance is not None:
        for name, beaten in zip(table.rows, _is_beaten(table, level / interim_tests), strict=True):
            may_win[name] = not beaten
    return may_win


def _is_beaten(table: AdditiveModel, level: float) -> list[bool]:
    """Return whether each row is significantly below another one.

    Rows with the same columns have the same precision, so only the highest of each such group
    needs to be compared.
    """
    assert table.variance is not None
    profiles, effects = table.profiles, table.row_effects
    profile_kinds, kind_of_row = np.unique(profiles, axis=0, return_inverse=True)
    kind_of_row = kind_of_row.reshape(-1)
    squared_norms = np.square(profile_kinds).sum(axis=1)
    # Differences from one row share its noise; a lower correlation makes a large one more likely.
    correlations = squared_norms / (squared_norms + squared_norms.max())
    limits = np.array(
        [
            dunnett_critical_value(
                -_round_down_count(1 - len(effects)),
                _round_down_count(table.df),
                level,
                _round_down_correlation(share),
            )
            for share in correlations
        ]
    )
    beaten = np.zeros(len(effects), dtype=bool)
    for group, profile in enumerate(profile_kinds):
        best = effects[kind_of_row == group].max()
        errors = np.sqrt(table.variance * table.variance_of_difference(profiles, profile))
        beaten |= best - effects > limits[kind_of_row] * errors + ROUNDING_ERROR
    return [bool(value) for value in beaten]


def _round_down_correlation(correlation: float) -> float:
    """Round down to a twentieth, so that few critical values have to be computed."""
    return min(int(correlation * 20 + ROUNDING_ERROR) / 20, 0.95)


def _round_down_count(count: int) -> int:
    """Round down to two digits, for the same reason.

    With more candidates or fewer degrees of freedom no additional candidate is dropped.
    """
    unit: int = 10 ** max(0, len(str(abs(count))) - 2)
    return count // unit * unit


@lru_cache(maxsize=4096)
def dunnett_critical_value(others: int, df: int, level: float, correlation: float) -> float:
    """Return Dunnett's one-sided critical value.

    The greatest of ``others`` t statistics with this common correlation exceeds it with
    probability ``level``.
    """
    common, common_weights = _normal_nodes()
    scale, scale_weights = _scale_nodes(df)
    weights = scale_weights[:, None] * common_weights

    def excess(limit: float) -> float:
        bound = limit * scale[:, None] - correlation**0.5 * common
        below = ndtr(bound / (1 - correlation) ** 0.5) ** others
        return float((weights * below).sum()) - (1 - level)

    low, high = -8.0, 8.0
    while excess(high) < 0:
        low, high = high, 2 * high
    return bisection(lambda limit: excess(limit) < 0, low, high, 1e-4)[1]


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return nodes, weights / weights.sum()


@lru_cache(maxsize=4096)
def _scale_nodes(df: int) -> tuple[Floats, Floats]:
    """Return nodes and weights for the square root of chi-squared over ``df``."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return np.sqrt(2 * gammaincinv(df / 2, (nodes + 1) / 2) / df), weights / 2
