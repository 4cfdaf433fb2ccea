"""How alike two rankings of the same candidates are, and how alike noise would let them be.

Spearman's rho and Kendall's tau-b, with intervals of a bootstrap over candidates. A candidate is
drawn with its runs, so what seeds add to it is drawn as well; seeds drawn again beside it would
count their noise twice.

The two rankings are of the same runs, whose luck they share, so they agree about that luck, too.
``across`` does without: the one ranking is by some seeds, the other by the rest, over all ways to
part them. That costs it half of the seeds, so it is to be read beside ``repeat``, the agreement of
the second ranking with itself over seeds parted in the same ways: the ceiling that noise sets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats, additive_model
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.paired import Accuracies

MIN_CANDIDATES = 5
"""Candidates; four are in the same order by chance once in 24 times."""
MAX_RESAMPLES, MAX_VALUES = 1000, 100_000
MAX_SPLITS, MAX_LISTED_SPLITS = 20, 10_000
MIN_REPEATABILITY = 0.2
"""A ranking that repeats itself by less has no noise-free counterpart to tell of."""
DIGITS = 12
"""Beyond which accuracies count as equal: least squares leave dust."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Of the rankings ``one`` and ``other`` (epochs, or names of tables) of ``candidates``.

    ``seeds``: that all of these have in both. ``spearman``, ``kendall``: of the mean accuracies
    over the runs that are in both. ``across``: Spearman's, of ``one`` by some seeds and ``other``
    by others. ``repeat``: of ``other`` with itself, likewise. ``shortfall``: ``repeat`` less
    ``across``; nothing where ``one`` is as good as ``other`` but for noise. ``corrected``:
    ``across`` over the root of both rankings' repeats, which is what it would be without noise
    (Spearman, Am. J. Psychol. 15, 1904); at most 1. All are None where there are too few
    candidates, or all are equal; the last four with fewer than two seeds in common.
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
        """All of it, flat: ``spearman``, ``spearman_low``, ``spearman_high`` and so on."""
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
    """The agreement of two tables of accuracies, by the runs (candidate, seed) that are in both.

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
    """Spearman's rho of each of B samples that hold candidate n ``weights[b, n]`` times; (B,).

    nan where all of a sample's candidates are equal.
    """
    total = weights_BN.sum(axis=1, keepdims=True)
    ranks = [weights_BN @ (_pair_signs(values) + 1) / 2 for values in (left_N, right_N)]
    x, y = (rank - (weights_BN * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    return _correlation(
        (weights_BN * x * y).sum(axis=1),
        (weights_BN * x * x).sum(axis=1) * (weights_BN * y * y).sum(axis=1),
    )


def kendall(left_N: Floats, right_N: Floats, weights_BN: Floats) -> Floats:
    """Kendall's tau-b of such samples, which corrects for candidates that are equal; (B,)."""
    x, y = _pair_signs(left_N), _pair_signs(right_N)

    def pairs(signs: Floats) -> Floats:
        counts: Floats = ((weights_BN @ signs) * weights_BN).sum(axis=1)
        return counts

    return _correlation(pairs(x * y), pairs(x * x) * pairs(y * y))


def _pair_signs(values_N: Floats) -> Floats:
    """Of each pair, by column minus row: 1 where the column's is higher, 0 where they are equal."""
    values = values_N.round(DIGITS)
    signs: Floats = np.sign(values[None, :] - values[:, None])
    return signs


def _correlation(covariance: Floats, variances: Floats) -> Floats:
    is_defined = variances > 1e-12
    return np.where(is_defined, covariance / np.sqrt(np.where(is_defined, variances, 1.0)), np.nan)


def _bootstrap_weights(count: int) -> Floats:
    """How often each candidate is in each sample; the first sample is the data's own."""
    rng = np.random.default_rng(0)
    resamples = max(200, min(MAX_RESAMPLES, MAX_VALUES // count))
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones(count), draws]).astype(np.float64)


def _bootstrap_interval(
    values_B: Floats, level: float, max_low: float | None = None
) -> Interval | None:
    """The first value, and the quantiles of the others; None where it is unknown.

    ``least``: the lower bound for rankings that are the same, whose samples are the same, too.
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
    """Spearman's rho and Kendall's tau of normal variables of which so many come in the same order
    with probability ``level`` / 2: those with less would not be expected to."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 4000, count))
    left = np.sort(left, axis=1)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        correlated = middle * left + (1 - middle**2) ** 0.5 * right
        p_same_order = float((np.diff(correlated, axis=1) > 0).all(axis=1).mean())
        low, high = (middle, high) if p_same_order < level / 2 else (low, middle)
    return float(np.arcsin(low / 2) * 6 / np.pi), float(np.arcsin(low) * 2 / np.pi)


def _split_seed_correlations(
    left: Accuracies,
    right: Accuracies,
    candidates: Sequence[str],
    seeds: Sequence[int],
    weights: Floats,
    level: float,
) -> dict[str, Any]:
    """Agreement across seeds that are parted in two, in the mean over the ways to do it."""
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
    """The ways to part so many seeds into halves, or a fixed choice of them where they are many."""
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
