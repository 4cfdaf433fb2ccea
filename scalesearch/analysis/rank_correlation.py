"""Rank correlation of two rankings, and the ceiling that noise sets.

Spearman's rho and Kendall's tau-b, with bootstrap intervals over candidates. A candidate is drawn
with its runs, which includes the noise of its seeds; resampling seeds as well would count that
noise twice.

Both rankings use the same runs, so they also agree about the runs' luck. ``across`` avoids this:
one ranking uses some seeds, the other the rest, averaged over all splits of the seeds. That costs
half of the seeds, so compare it with ``repeat``, the correlation of the second ranking with itself
over the same splits: the ceiling that noise sets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats, additive_model
from scalesearch.analysis.bisection import bisection
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.paired import Accuracies

MIN_CANDIDATES = 5
"""Fewest candidates; four are in the same order by chance once in 24 times."""
MAX_RESAMPLES, MAX_VALUES = 1000, 100_000
MAX_SPLITS, MAX_LISTED_SPLITS = 20, 10_000
MIN_REPEATABILITY = 0.2
"""Least ``repeat`` of both rankings for a noise-corrected correlation."""
DIGITS = 12
"""Decimals to which accuracies are compared, since least squares leaves rounding errors."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Correlation of the rankings ``one`` and ``other`` (epochs or table names).

    ``candidates``: their number. ``seeds``: the number of seeds that all of them have in both.
    ``spearman``, ``kendall``: of the mean accuracies over the runs in both. ``across``: Spearman's
    rho of ``one`` and ``other`` over different seeds. ``repeat``: the same for ``other`` with
    itself. ``shortfall``: ``repeat`` minus ``across``; zero if ``one`` ranks like ``other`` but for
    noise. ``corrected``: ``across`` over the root of the product of both rankings' repeats, the
    estimate without noise (Spearman, Am. J. Psychol. 15, 1904), at most 1. All are None with too
    few candidates or if all are equal; the last four with fewer than two seeds in common.
    """

    one: int | str
    other: int | str
    candidates: int
    seeds: int
    spearman: Interval | None = None
    kendall: Interval | None = None
    across: Interval | None = None
    repeat: Interval | None = None
    shortfall: Interval | None = None
    corrected: float | None = None

    @property
    def row(self) -> dict[str, Any]:
        """All fields as a flat row: ``spearman``, ``spearman_low`` and so on."""
        row: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name in ("spearman", "kendall", "across", "repeat", "shortfall"):
                ends = value or dict.fromkeys(("value", "low", "high"))
                row |= {name: ends["value"]}
                row |= {f"{name}_{end}": ends[end] for end in ("low", "high")}
            else:
                row[name] = value
        return row


def rank_correlation(
    left: Accuracies,
    right: Accuracies,
    names: tuple[int | str, int | str] = ("one", "other"),
    *,
    level: float = 0.1,
) -> RankCorrelation:
    """Return the rank correlation of two tables over the runs in both.

    Intervals are of 1 - ``level``. The same tables give the same numbers. Raises SearchError for
    an accuracy that is not finite.
    """
    shared = {
        name: sorted(set(left[name]) & set(right[name])) for name in sorted(set(left) & set(right))
    }
    shared = {name: seeds for name, seeds in shared.items() if seeds}
    common_seeds = sorted(set.intersection(*map(set, shared.values()))) if shared else []
    count = len(shared)
    if count < MIN_CANDIDATES:
        return RankCorrelation(*names, count, len(common_seeds))
    left_table, right_table = (
        additive_model(
            {name: {seed: table[name][seed] for seed in seeds} for name, seeds in shared.items()}
        )
        for table in (left, right)
    )
    weights = _bootstrap_weights(count)
    values = left_table.row_effects, right_table.row_effects, weights
    return RankCorrelation(
        *names,
        count,
        len(common_seeds),
        spearman=_bootstrap_interval(spearman(*values), level, _low_if_identical(count, level)[0]),
        kendall=_bootstrap_interval(kendall(*values), level, _low_if_identical(count, level)[1]),
        **_split_seed_correlations(left, right, list(shared), common_seeds, weights, level),
    )


def spearman(left_N: Floats, right_N: Floats, weights_BN: Floats) -> Floats:
    """Return Spearman's rho (B,) of samples with candidate n ``weights[b, n]`` times.

    nan for a sample whose candidates are all equal.
    """
    total = weights_BN.sum(axis=1, keepdims=True)
    ranks = [weights_BN @ (_pair_signs(values) + 1) / 2 for values in (left_N, right_N)]
    x, y = (rank - (weights_BN * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    return _correlation(
        (weights_BN * x * y).sum(axis=1),
        (weights_BN * x * x).sum(axis=1) * (weights_BN * y * y).sum(axis=1),
    )


def kendall(left_N: Floats, right_N: Floats, weights_BN: Floats) -> Floats:
    """Return Kendall's tau-b (B,) of such samples; it corrects for ties."""
    x, y = _pair_signs(left_N), _pair_signs(right_N)

    def pairs(signs: Floats) -> Floats:
        counts: Floats = ((weights_BN @ signs) * weights_BN).sum(axis=1)
        return counts

    return _correlation(pairs(x * y), pairs(x * x) * pairs(y * y))


def _pair_signs(values_N: Floats) -> Floats:
    """Return the sign of column minus row for each pair, 0 for ties."""
    values = values_N.round(DIGITS)
    signs: Floats = np.sign(values[None, :] - values[:, None])
    return signs


def _correlation(covariance: Floats, variances: Floats) -> Floats:
    is_defined = variances > 1e-12
    return np.where(is_defined, covariance / np.sqrt(np.where(is_defined, variances, 1.0)), np.nan)


def _bootstrap_weights(count: int) -> Floats:
    """Return how often each candidate is in each sample; the first sample is the data."""
    rng = np.random.default_rng(0)
    resamples = max(200, min(MAX_RESAMPLES, MAX_VALUES // count))
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), draws]).astype(np.float64)


def _bootstrap_interval(
    values_B: Floats, level: float, max_low: float | None = None
) -> Interval | None:
    """Return the first value with the quantiles of the others; None if it is unknown.

    ``max_low``: largest lower bound for identical rankings, whose samples are all identical too.
    """
    value, draws = float(values_B[0]), values_B[1:][np.isfinite(values_B[1:])]
    if not np.isfinite(value) or not len(draws):
        return None
    low, high = (float(end) for end in np.quantile(draws, [level / 2, 1 - level / 2]))
    if max_low is not None and value > 1 - ROUNDING_ERROR:
        low = min(low, max_low)
    return Interval(value, min(low, value), max(high, value))


@lru_cache(maxsize=256)
def _low_if_identical(count: int, level: float) -> tuple[float, float]:
    """Return lower bounds of rho and tau for identical rankings.

    They belong to normal variables of which ``count`` pairs are in the same order with probability
    ``level`` / 2.
    """
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 4000, count))
    left = np.sort(left, axis=1)

    def is_below(correlation: float) -> bool:
        correlated = correlation * left + (1 - correlation**2) ** 0.5 * right
        p_same_order = float((np.diff(correlated, axis=1) > 0).all(axis=1).mean())
        return p_same_order < level / 2

    low, _ = bisection(is_below, 0.0, 1.0, 2.0**-20)
    return float(np.arcsin(low / 2) * 6 / np.pi), float(np.arcsin(low) * 2 / np.pi)


def _split_seed_correlations(
    left: Accuracies,
    right: Accuracies,
    candidates: Sequence[str],
    seeds: Sequence[int],
    weights: Floats,
    level: float,
) -> dict[str, Any]:
    """Return the correlations across split seeds, averaged over the splits."""
    if len(seeds) < 2:
        return {}
    x, y = (
        np.array([[table[name][seed] for seed in seeds] for name in candidates])
        for table in (left, right)
    )
    across, repeat, own = [], [], []
    for half, other_half in _seed_splits(len(seeds)):
        a, b = x[:, half].mean(axis=1), x[:, other_half].mean(axis=1)
        c, d = y[:, half].mean(axis=1), y[:, other_half].mean(axis=1)
        across += [spearman(a, d, weights), spearman(b, c, weights)]
        repeat.append(spearman(c, d, weights))
        own.append(spearman(a, b, weights))
    means = [np.mean(values, axis=0) for values in (across, repeat, own)]
    across_mean, repeat_mean, own_repeat = (float(mean[0]) for mean in means)
    reliable = np.isfinite(across_mean) and min(repeat_mean, own_repeat) > MIN_REPEATABILITY
    max_low, _ = _low_if_identical(len(candidates), level)
    return {
        "across": _bootstrap_interval(means[0], level, max_low),
        "repeat": _bootstrap_interval(means[1], level, max_low),
        "shortfall": _bootstrap_interval(means[1] - means[0], level),
        "corrected": min(across_mean / (repeat_mean * own_repeat) ** 0.5, 1.0)
        if reliable
        else None,
    }


def _seed_splits(count: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the splits of seeds into halves, or a fixed choice of many."""
    rng = np.random.default_rng(0)
    if comb(count, count // 2) > MAX_LISTED_SPLITS:
        draws = (rng.permutation(count)[: count // 2] for _ in range(MAX_SPLITS))
        splits = [tuple(sorted(split.tolist())) for split in draws]
    else:
        splits = list(combinations(range(count), count // 2))
    if len(splits) > MAX_SPLITS:
        chosen = rng.permutation(len(splits))[:MAX_SPLITS]
        splits = [splits[index] for index in sorted(chosen)]
    for half in splits:
        yield list(half), [seed for seed in range(count) if seed not in half]
