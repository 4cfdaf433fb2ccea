"""Replication: the best of a search holds, is beaten, or one seed does not decide."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.replication import compare_replication, rows_of_best_tables
from scalesearch.errors import SearchError

TRUTH = {"aa": 0.60, "bb": 0.58, "cc": 0.55, "dd": 0.50, "ee": 0.45, "ff": 0.40}


def table(truth=TRUTH, noise=0.004, seeds=(0, 1, 2), seed=0, epoch=3):
    random = np.random.default_rng(seed)
    rows = [
        (name, run, epoch, value + 0.02 * (run % 3) + random.normal(0, noise), f"cell {name}", "x")
        for name, value in truth.items()
        for run in seeds
    ]
    names = ["candidate", "seed", "epoch", "accuracy", "cell", "role"]
    return pd.DataFrame(rows, columns=names)


def test_the_same_order_with_other_seeds_holds_and_agrees():
    found = compare_replication(table(), table(seeds=(3, 4, 5), seed=1), "after 9 epochs")
    assert (found.search_best.candidate, found.holds) == ("aa", True)
    assert [result.candidate for result in found.results] == list(TRUTH)
    assert found.rank_correlation.spearman.value == pytest.approx(1)
    assert found.rank_correlation.seeds == 3
    assert "the best candidate of the search, aa, is the best again" in found.sentence
    assert found.sentence.startswith("after 9 epochs: accuracy changes by ")
    assert abs(found.mean_change) < 0.01
    assert found.results[0].gap is None
    assert found.rows[5]["behind_low"] > 0.15
    assert found.rows[5]["may_win"] is False


def test_a_best_that_is_clearly_beaten_does_not_hold():
    found = compare_replication(table(), table({**TRUTH, "aa": 0.5}, seed=1), "rate x2")
    assert (found.holds, found.search_best.place) == (False, 3)
    assert found.search_best.gap.low > 0
    assert "aa, is beaten by bb by 0.0" in found.sentence


def test_a_best_that_comes_second_by_chance_holds():
    near = {**TRUTH, "aa": 0.60, "bb": 0.601}
    after = table(near, noise=0.0)
    wobble = np.random.default_rng(0).normal(0, 0.01, len(after))
    found = compare_replication(
        table(), after.assign(accuracy=after.accuracy + wobble), "rate x2", search_best="bb"
    )
    assert found.holds
    assert found.search_best.candidate == "bb"
    assert "is within noise of the best, " in found.sentence


def test_one_seed_gives_a_rank_and_no_decision():
    found = compare_replication(table(), table({**TRUTH, "aa": 0.5}, seeds=(7,)), "after 9 epochs")
    assert found.holds is None
    assert "is number 3 of 6, with one seed" in found.sentence
    assert found.rows[0]["standard_error"] is None
    again = compare_replication(table(), table(seeds=(7,)), "after 9 epochs")
    assert "the best again, with one seed" in again.sentence


def test_only_candidates_in_both_count():
    fewer = {name: TRUTH[name] for name in ("bb", "dd", "ff")}
    found = compare_replication(table(), table({**fewer, "new": 0.9}), "x")
    assert [row["candidate"] for row in found.rows] == ["bb", "dd", "ff"]
    assert found.search_best.candidate == "bb"
    assert "too few candidates to compare rankings" in found.sentence
    with refused(SearchError):
        compare_replication(table(), table({"new": 0.9}), "x")
    with refused(SearchError):
        compare_replication(table(), table(fewer), "x", search_best="aa")


def test_order_of_rows_and_repeated_rows_change_nothing():
    other = pd.concat([table(), table()]).sample(frac=1, random_state=0)
    assert (
        compare_replication(other, other, "x").rows
        == compare_replication(table(), table(), "x").rows
    )


def test_each_candidate_comes_from_the_table_in_which_it_is_best():
    low = table({**TRUTH, "ff": 0.7, "aa": 0.3})
    found = rows_of_best_tables({"x1": table(), "x2": low})
    means = found.groupby("candidate")["accuracy"].mean()
    assert means["ff"] == pytest.approx(0.72, abs=0.01)
    assert means["aa"] == pytest.approx(0.62, abs=0.01)
    assert len(found) == 18
    assert rows_of_best_tables({"x1": table(), "x2": table({"new": 0.1})}).empty
