"""Comparisons paired by seed: two seeds or more, holes, and correct error rates."""

import time

import numpy as np
import pandas as pd
import pytest
from refusals import refused
from scipy.stats import dunnett, ttest_rel

from scalesearch.analysis.paired import (
    accuracies,
    dunnett_critical_value,
    may_still_win,
    paired_difference,
    paired_noise,
)
from scalesearch.errors import SearchError

NOISE, SEEDS_ALONE = 0.008, 0.02


def made(rng, truth, seeds):
    """Accuracies of candidates c000, c001, ... with paired seeds."""
    values = np.asarray(truth)[:, None] + rng.normal(0, SEEDS_ALONE, seeds)
    values = values + rng.normal(0, NOISE, (len(truth), seeds))
    return {f"c{index:03}": dict(enumerate(map(float, row))) for index, row in enumerate(values)}


def test_the_noise_is_what_candidates_and_seeds_leave_over():
    rng = np.random.default_rng(0)
    found = [paired_noise(made(rng, [0.5, 0.6, 0.7], 4)) for _ in range(400)]
    assert {one.df for one in found} == {6}
    assert np.mean([one.variance for one in found]) == pytest.approx(NOISE**2, rel=0.1)


def test_the_noise_is_known_of_tables_with_holes():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        values = made(rng, [0.5, 0.6, 0.7, 0.8], 3)
        del values["c001"][2], values["c003"][0], values["c003"][1]
        found.append(paired_noise(values))
    assert {one.df for one in found} == {9 - 4 - 2}
    assert np.mean([one.variance for one in found]) == pytest.approx(NOISE**2, rel=0.1)


@pytest.mark.parametrize(
    "values", [{}, {"a": {}}, {"a": {0: 0.5, 1: 0.6}}, {"a": {0: 0.5}, "b": {0: 0.6}}]
)
def test_one_candidate_or_one_seed_has_no_noise_and_all_may_win(values):
    assert paired_noise(values).variance is None
    assert paired_noise(values).standard_error(2) is None
    assert may_still_win(values) == dict.fromkeys(values, True)


def test_of_two_candidates_it_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    values = made(rng, [0.51, 0.5], 4)
    theirs = ttest_rel(list(values["c000"].values()), list(values["c001"].values()))
    ours = paired_difference(values, "c000", "c001")
    interval = theirs.confidence_interval(0.9)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert ours.df == 3


def test_a_difference_is_of_shared_seeds_and_of_what_the_table_tells_of_others():
    values = {
        "a": {0: 0.50, 1: 0.60, 2: 0.70},
        "b": {0: 0.40, 1: 0.52, 2: 0.58},
        "c": {2: 0.60},
    }
    # a is at .60 over all seeds; c at .60 in seed 2, which is .09 above a and b's mean seed.
    assert paired_difference(values, "a", "c").mean == pytest.approx(0.09)
    near, far = paired_difference(values, "a", "b"), paired_difference(values, "a", "c")
    assert near.mean == pytest.approx(0.10)
    assert far.standard_error > near.standard_error
    back = paired_difference(values, "b", "a")
    assert (back.mean, back.low, back.high) == (-near.mean, -near.high, -near.low)
    assert paired_difference(values, "a", "a").p == 1


def test_candidates_that_cannot_be_compared_are_refused_with_a_reason():
    with refused(SearchError):
        paired_difference({"a": {0: 0.5}}, "a", "x")
    with refused(SearchError):
        paired_difference({"a": {0: 0.5}, "b": {0: 0.6}}, "a", "b")
    apart = {"a": {0: 0.5, 1: 0.6}, "b": {0: 0.5, 1: 0.7}, "c": {7: 0.1}}
    with refused(SearchError):
        paired_difference(apart, "a", "c")
    assert may_still_win(apart)["c"]
    with refused(SearchError):
        may_still_win({"a": {0: 0.5, 1: 0.6}, "b": {0: 0.5, 1: float("nan")}})


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(2)
    found = np.array(
        [paired_difference(made(rng, [0.5] * 5, 2), "c000", "c003").p for _ in range(2000)]
    )
    for level in (0.05, 0.1, 0.5, 0.9):
        assert np.mean(found < level) == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize(("candidates", "seeds"), [(2, 2), (5, 2), (15, 2), (15, 3)])
def test_the_best_of_equals_is_dropped_as_often_as_the_level_says(candidates, seeds):
    rng = np.random.default_rng(3)
    tables = [made(rng, [0.5] * candidates, seeds) for _ in range(1000)]
    dropped = np.mean([not may_still_win(table)["c000"] for table in tables])
    assert 0.07 < dropped < 0.13
    dropped = np.mean([not may_still_win(table, 0.02)["c000"] for table in tables])
    assert 0.005 < dropped < 0.035


def test_a_race_with_several_interim_tests_keeps_the_level():
    rng = np.random.default_rng(4)
    dropped = 0
    for _ in range(600):
        whole = made(rng, [0.5] * 6, 4)
        raced, alive = {name: {0: whole[name][0]} for name in whole}, set(whole)
        for seed in (1, 2, 3):
            for name in alive:
                raced[name][seed] = whole[name][seed]
            verdicts = may_still_win(raced, interim_tests=3)
            alive = {name for name in alive if verdicts[name]}
        dropped += "c000" not in alive
    assert dropped / 600 <= 0.12


def test_a_candidate_far_behind_is_dropped_after_two_seeds():
    rng = np.random.default_rng(5)
    truth = [0.5, 0.49, 0.45, 0.44, 0.43, 0.42]
    verdicts = [may_still_win(made(rng, truth, 2)) for _ in range(200)]
    kept = {name: np.mean([one[name] for one in verdicts]) for name in verdicts[0]}
    assert kept["c000"] > 0.97
    assert kept["c001"] > 0.6
    assert max(kept["c002"], kept["c003"], kept["c004"], kept["c005"]) < 0.2


def test_a_candidate_of_one_seed_is_judged_by_the_noise_of_the_others():
    rng = np.random.default_rng(6)
    values = made(rng, [0.5] * 8, 3) | {"far": {0: 0.3}, "near": {0: 0.49}}
    verdicts = may_still_win(values)
    assert not verdicts["far"]


def test_seed_effects_and_the_order_of_candidates_change_no_decision():
    rng = np.random.default_rng(7)
    values = made(rng, np.linspace(0.45, 0.5, 9), 3)
    moved = {
        name: {seed: value + 0.1 * seed for seed, value in values[name].items()}
        for name in reversed(values)
    }
    assert may_still_win(moved) == may_still_win(values)
    assert False in may_still_win(values).values()


def test_equal_accuracies_all_stay_and_an_exact_table_keeps_the_best_alone():
    assert all(may_still_win({name: {0: 0.5, 1: 0.6} for name in "abc"}).values())
    exact = {name: {0: 0.5 + lead, 1: 0.6 + lead} for name, lead in (("a", 0.1), ("b", 0.0))}
    assert may_still_win(exact) == {"a": True, "b": False}
    assert paired_difference(exact, "a", "b").p == 0


def test_the_critical_value_is_dunnetts():
    # Table of Dunnett (1955), one-sided, 5%: 4 comparisons, 20 degrees of freedom; 1 is Student's.
    assert dunnett_critical_value(4, 20, 0.05, 0.5) == pytest.approx(2.30, abs=0.01)
    assert dunnett_critical_value(1, 10, 0.05, 0.5) == pytest.approx(1.812, abs=0.001)
    rng = np.random.default_rng(8)
    samples = rng.normal(size=(4, 5))
    samples[0] += 1.0
    theirs = dunnett(*samples[1:], control=samples[0], alternative="less", random_state=rng)
    pooled = samples.var(axis=1, ddof=1).mean()
    largest = (samples[0].mean() - samples[1:].mean(axis=1)).max() / np.sqrt(pooled * 2 / 5)
    assert dunnett_critical_value(3, 16, float(theirs.pvalue.min()), 0.5) == pytest.approx(
        largest, 0.02
    )


def test_a_decision_on_a_hundred_candidates_takes_milliseconds():
    rng = np.random.default_rng(9)
    tables = [made(rng, [0.5] * 100, 3) for _ in range(40)]
    laps = []
    for table in tables:
        began = time.perf_counter()
        may_still_win(table)
        laps.append(time.perf_counter() - began)
    assert min(laps) < 0.006  # half a millisecond where nothing else runs


def test_accuracies_are_taken_from_the_rows_of_one_epoch():

    rows = [("a", 0, 1, 0.2), ("a", 0, 2, 0.3), ("a", 1, 2, 0.4), ("b", 0, 2, 0.5)]
    records = pd.DataFrame(rows, columns=["candidate", "seed", "epoch", "accuracy"])
    assert accuracies(records, 2) == {"a": {0: 0.3, 1: 0.4}, "b": {0: 0.5}}
