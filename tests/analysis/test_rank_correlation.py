"""Rank correlation: scipy's numbers, intervals that hold the truth, noise ceiling."""

import numpy as np
import pytest
from scipy import stats

from scalesearch.analysis.rank_correlation import (
    MIN_CANDIDATES,
    kendall,
    rank_correlation,
    spearman,
)
from scalesearch.errors import SearchError

RANDOM = np.random.default_rng(7)


def runs(values, noise=0.0, seeds=3, seed=0):
    """Candidates c0, c1... with these true accuracies, each with so many noisy seeds."""
    random = np.random.default_rng(seed)
    shared = random.normal(0, 0.05, seeds)
    return {
        f"c{place}": dict(enumerate(value + shared + random.normal(0, noise, seeds)))
        for place, value in enumerate(values)
    }


def test_rho_and_tau_are_scipys_for_every_sample_with_and_without_ties():
    one = RANDOM.integers(0, 5, 12).astype(float)
    for other in (one + RANDOM.integers(0, 5, 12), RANDOM.normal(size=12)):
        weights = np.vstack([np.ones(12), RANDOM.multinomial(12, [1 / 12] * 12, 20)]).astype(float)
        rho, tau = spearman(one, other, weights), kendall(one, other, weights)
        for place, weight in enumerate(weights):
            chosen = np.repeat(np.arange(12), weight.astype(int))
            expected = stats.spearmanr(one[chosen], other[chosen]).statistic
            assert rho[place] == pytest.approx(expected)
            expected = stats.kendalltau(one[chosen], other[chosen]).statistic
            assert tau[place] == pytest.approx(expected)


def test_candidates_that_are_all_equal_have_no_ranking_to_agree_with():
    found = rank_correlation(runs([0.5] * 8), runs(np.arange(8) / 10))
    assert (found.spearman, found.kendall, found.corrected) == (None, None, None)
    assert found.candidates == 8


def test_equal_orders_agree_wholly_and_few_candidates_leave_that_in_doubt():
    lows = []
    for count in (MIN_CANDIDATES, 8, 20):
        table = runs(np.arange(count) / 10)
        found = rank_correlation(table, table)
        assert found.spearman.value == found.kendall.value == pytest.approx(1)
        lows.append((found.spearman.low, found.kendall.low))
    assert lows[0][0] < 0.6
    assert lows[0] < lows[1] < lows[2]
    assert lows[2][0] > 0.99


def test_many_seeds_are_parted_in_few_of_the_ways_there_are():
    table = runs(np.arange(6) / 10, noise=0.01, seeds=40)  # in 10^11 ways
    assert rank_correlation(table, table).repeat.value > 0.9


@pytest.mark.parametrize(("count", "rho"), [(12, 0.0), (17, 0.6), (17, 0.9)])
def test_intervals_hold_the_true_agreement_about_as_often_as_they_say(count, rho):
    random, inside = np.random.default_rng(count), np.zeros(2)
    true = np.array([np.arcsin(rho / 2) * 6, np.arcsin(rho) * 2]) / np.pi  # of normal variables
    for _ in range(200):
        one = random.normal(size=count)
        other = rho * one + (1 - rho**2) ** 0.5 * random.normal(size=count)
        found = rank_correlation(runs(one, seeds=1), runs(other, seeds=1))
        inside += [
            interval.low <= value <= interval.high
            for interval, value in zip((found.spearman, found.kendall), true, strict=True)
        ]
    assert (inside / 200 >= 0.84).all(), inside
    assert (inside / 200 <= 0.98).all(), inside


def test_what_noise_hides_is_not_held_against_the_proxy():
    truth = np.linspace(0, 0.1, 25)
    found = rank_correlation(
        runs(truth, noise=0.05, seeds=4, seed=1), runs(truth, 0.05, seeds=4, seed=2)
    )
    assert found.across.value < 0.8
    assert found.shortfall.low < 0 < found.shortfall.high
    assert found.corrected > 0.85


def test_a_proxy_of_another_order_falls_short_of_the_ceiling():
    truth = np.linspace(0, 0.1, 25)
    other = np.random.default_rng(3).permutation(truth)
    found = rank_correlation(runs(other, 0.02, seeds=4, seed=1), runs(truth, 0.02, seeds=4, seed=2))
    assert found.repeat.value > 0.8
    assert found.shortfall.low > 0.2
    assert found.corrected < 0.6


def test_luck_that_two_epochs_of_a_run_share_agrees_over_the_same_runs_and_not_across_seeds():
    luck = runs([0.5] * 20, noise=0.05, seeds=4)
    found = rank_correlation(luck, luck)
    assert found.spearman.value == pytest.approx(1)
    assert found.repeat.low < 0
    assert found.across.high < 0.7


def test_only_runs_in_both_count_whatever_the_order_of_the_rest():
    truth = np.arange(9) / 10
    one, other = runs(truth, 0.1, seed=1), runs(truth, 0.1, seed=2)
    expected = rank_correlation(one, other).row
    wider = {"extra": {0: 0.3}, **{name: {9: 0.1, **seeds} for name, seeds in one.items()}}
    turned = dict(reversed(other.items()))
    assert rank_correlation(wider, turned).row == expected
    assert (expected["candidates"], expected["seeds"]) == (9, 3)


def test_one_seed_has_no_ceiling_and_too_few_candidates_no_agreement():
    found = rank_correlation(runs(np.arange(6) / 10, seeds=1), runs(np.arange(6) / 10, seeds=1))
    assert found.spearman is not None
    assert (found.across, found.repeat, found.shortfall, found.corrected) == (None,) * 4
    few = rank_correlation(
        runs(np.arange(MIN_CANDIDATES - 1)), runs(np.arange(MIN_CANDIDATES - 1)), (1, 3)
    )
    assert few.row["spearman"] is few.row["across_low"] is None
    assert (few.one, few.other, few.candidates) == (1, 3, MIN_CANDIDATES - 1)
    assert rank_correlation({}, {}).candidates == 0


def test_an_accuracy_that_is_not_finite_is_refused():
    broken = runs(np.arange(6) / 10)
    broken["c3"][1] = float("nan")
    with pytest.raises(SearchError, match="c3: need finite"):
        rank_correlation(broken, broken)
