"""Candidates compared on the seeds they share, from two seeds on.

A seed fixes data order, augmentation and split for all candidates, so it moves them alike. What is
left after candidates and seeds (``Paired``: least squares, holes allowed) is the noise of a
comparison, and is pooled over all candidates, since two or three seeds of one alone say nothing.
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
from scalesearch.errors import SearchError

Accuracies: TypeAlias = Mapping[str, Mapping[int, float]]
"""Candidate -> seed -> accuracy."""


@dataclass(frozen=True, slots=True)
class PairedNoise:
    """The noise of accuracies after candidates and seeds.

    ``variance``: of one run, paired; None where no candidates share two seeds. ``df``: its degrees
    of freedom, (candidates - 1) * (seeds - 1) of a full table.
    """

    variance: float | None
    df: int

    def standard_error(self, seeds: int) -> float | None:
        """Of a mean over so many seeds, for comparing it with others over the same seeds."""
        return None if self.variance is None else (self.variance / seeds) ** 0.5


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much higher the leader's accuracy is than the other's.

    ``low``, ``high``: the interval of the level asked, two-sided. ``p``: two-sided, of no
    difference; not corrected for having chosen the leader among several.
    """

    mean: float
    standard_error: float
    df: int
    low: float
    high: float
    p: float


def accuracies(records: pd.DataFrame, epoch: int) -> dict[str, dict[int, float]]:
    """Candidate -> seed -> accuracy of a results table at an epoch."""
    rows = records[records["epoch"] == epoch]
    table: dict[str, dict[int, float]] = {}
    for name, seed, accuracy in zip(rows["candidate"], rows["seed"], rows["accuracy"], strict=True):
        table.setdefault(str(name), {})[int(seed)] = float(accuracy)
    return table


def paired_noise(values: Accuracies) -> PairedNoise:
    """The residual variance of the table of candidates and seeds."""
    if not any(values.values()):
        return PairedNoise(None, 0)
    table = additive_model(values)
    return PairedNoise(table.variance, table.df)


def paired_difference(
    values: Accuracies, leader: str, other: str, *, level: float = 0.1
) -> PairedDifference:
    """How far ``other`` is behind ``leader``, with the noise of the whole table.

    Seeds that only one of them has count as far as the rest of the table tells what the seed does.
    Raises SearchError where the table cannot tell: a candidate without runs, no two candidates
    that share two seeds, or no seed that connects the two.
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
        raise SearchError(f"{leader} and {other}: no seeds connect them; train one on both")
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
    """Which candidates may still be the best: all but those that some other one clearly beats.

    The truly best is dropped with a probability of at most ``level``, however many candidates there
    are and however close: each is compared with all others at Dunnett's one-sided critical value
    (multiple comparisons with the best; Hsu, Annals of Statistics 12, 1984). ``looks``: how many
    times candidates are dropped in one race (one less than its seeds); four looks at the full level
    each would come to more than twice the level. With one candidate or one seed, and where two
    share no seed, all may win.
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
    """Whether another row is above each row by more than chance explains.

    Rows with the same columns have the same precision, so of each such group the highest alone
    decides.
    """
    assert table.variance is not None
    profiles, effects = table.profiles, table.row_effects
    profile_kinds, kind_of_row = np.unique(profiles, axis=0, return_inverse=True)
    kind_of_row = kind_of_row.reshape(-1)
    squared_norms = np.square(profile_kinds).sum(axis=1)
    # All differences from one row share its noise; the lower this correlation, the more chances.
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
    """Rounded down to a twentieth, so that few critical values are ever computed."""
    return min(int(correlation * 20 + ROUNDING_ERROR) / 20, 0.95)


def _round_down_count(count: int) -> int:
    """Rounded down to two digits, for the same reason: with more candidates, or fewer degrees of
    freedom, nobody is dropped who was not."""
    unit: int = 10 ** max(0, len(str(abs(count))) - 2)
    return count // unit * unit


@lru_cache(maxsize=4096)
def dunnett_critical_value(others: int, df: int, level: float, correlation: float) -> float:
    """Dunnett's one-sided value: the greatest of ``others`` t statistics of that common
    correlation exceeds it with probability ``level``."""
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
    while high - low > 1e-4:  # by halves: scipy's own root finders take half a second to import
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high


@lru_cache(maxsize=1)
def _normal_nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return nodes, weights / weights.sum()


@lru_cache(maxsize=4096)
def _scale_nodes(df: int) -> tuple[Floats, Floats]:
    """Nodes and weights for the square root of chi-squared over its degrees of freedom."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return np.sqrt(2 * gammaincinv(df / 2, (nodes + 1) / 2) / df), weights / 2
