"""Proxy check: the shortest epoch that ranks like the last one."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.proxy_check import epoch_rank_correlation, table_rank_correlation
from scalesearch.errors import SearchError

TRUTH = np.linspace(0.4, 0.6, 16)


def table(orders, noise=0.01, seeds=3, seed=0):
    """A results table: epoch -> true accuracies of c00, c01...; half of a run's luck lasts."""
    random = np.random.default_rng(seed)
    count = len(next(iter(orders.values())))
    lasting = random.normal(0, noise, (count, seeds))
    rows = [
        (f"c{place:02}", run, epoch, values[place] + (luck + random.normal(0, noise)) / 2**0.5)
        for epoch, values in orders.items()
        for place in range(count)
        for run, luck in enumerate(lasting[place])
    ]
    return pd.DataFrame(rows, columns=["candidate", "seed", "epoch", "accuracy"])


@pytest.fixture(scope="module")
def turned():
    """Epoch 1 has an order of its own; 3 and 9 have the same."""
    other = np.random.default_rng(5).permutation(TRUTH)
    return table({1: other, 3: TRUTH, 9: TRUTH + 0.1})


def test_the_shortest_epoch_that_agrees_is_found(turned):
    found = epoch_rank_correlation(turned)
    assert found.epochs == (1, 3, 9)
    assert found.verdicts == {1: "differs", 3: "agrees"}
    assert (found.shortest_epoch, found.is_proven) == (3, True)
    assert "candidates like epoch 9 (Spearman's rho" in found.sentence
    assert found.notes == ()


def test_an_epoch_counts_only_where_all_later_ones_do_too():
    other = np.random.default_rng(5).permutation(TRUTH)
    found = epoch_rank_correlation(table({1: TRUTH, 3: other, 9: TRUTH}))
    assert found.verdicts[1] == "agrees"
    assert (found.shortest_epoch, found.sentence[:14]) == (9, "no epoch befor")


def test_where_the_last_order_is_noise_no_epoch_predicts_it():
    level = np.full(16, 0.5)
    found = [epoch_rank_correlation(table({1: level, 9: level}, seed=seed)) for seed in range(20)]
    unclear = [one for one in found if one.verdicts == {1: "noise"}]
    assert len(unclear) >= 17  # one in twenty is expected to seem to have an order
    assert {one.shortest_epoch for one in unclear} == {None}
    assert "is not clearly repeatable over other seeds" in unclear[0].sentence


def test_candidates_that_are_all_equal_are_not_called_too_few(turned):
    found = epoch_rank_correlation(turned.assign(accuracy=0.5))
    assert found.shortest_epoch is None
    assert found.sentence == "the 16 candidates with epoch 9 are equal, so there is no ranking"


def test_epochs_not_told_apart_are_not_called_proven():
    found = epoch_rank_correlation(table({3: TRUTH, 9: TRUTH}, noise=0.06, seeds=4), threshold=0.95)
    assert found.verdicts == {3: "not told apart"}
    assert (found.shortest_epoch, found.is_proven) == (3, False)
    assert "does not prove that the rankings agree" in found.sentence


def test_the_matrix_is_symmetric_with_repeats_on_its_diagonal(turned):
    found = epoch_rank_correlation(turned)
    matrix = found.matrix()
    assert np.array_equal(matrix, matrix.T)
    assert matrix[2, 2] == found.noise_ceiling.repeat.value < 1
    assert len(found.rows) == 6
    assert matrix[0, 2] == next(
        row["spearman"] for row in found.rows if (row["one"], row["other"]) == (1, 9)
    )
    one_seed = epoch_rank_correlation(turned[turned.seed == 0])
    assert np.isnan(one_seed.matrix().diagonal()).all()
    assert "fewer than two seeds" in one_seed.notes[0]


def test_of_a_halved_search_only_those_count_that_have_both_epochs(turned):
    gone = [f"c{place:02}" for place in range(8)]
    halved = turned[~(turned.candidate.isin(gone) & (turned.epoch == 9))]
    halved = halved.assign(stopped=np.where(halved.candidate.isin(gone), "halved", ""))
    found = epoch_rank_correlation(halved)
    assert [row["candidates"] for row in found.rows] == [16, 16, 16, 8, 8, 8]
    assert found.trained_candidates == 16
    assert (
        "8 of 16 candidates have the last epoch; the ones that continued are similar"
        in found.notes[0]
    )


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing(turned):
    other = pd.concat([turned, turned]).sample(frac=1, random_state=1).assign(note="x")
    assert epoch_rank_correlation(other).rows == epoch_rank_correlation(turned).rows


def test_a_long_table_is_compared_at_epochs_ever_further_apart():
    found = epoch_rank_correlation(table(dict.fromkeys(range(1, 31), TRUTH), seeds=1))
    assert len(found.epochs) <= 9
    assert (found.epochs[0], found.epochs[-1]) == (1, 30)
    assert epoch_rank_correlation(table({1: TRUTH, 2: TRUTH, 3: TRUTH}), epochs=[1, 3]).epochs == (
        1,
        3,
    )


def test_too_little_data_gives_a_sentence_and_no_error(turned):
    few = epoch_rank_correlation(turned[turned.candidate < "c03"])
    assert few.shortest_epoch is None
    assert "3 candidates with epoch 9 are too few" in few.sentence
    assert "no shorter training" in epoch_rank_correlation(turned[turned.epoch == 9]).sentence
    with refused(SearchError):
        epoch_rank_correlation(turned[:0])
    with refused(SearchError):
        epoch_rank_correlation(turned, epochs=[1, 4])


def test_two_tables_are_compared_by_network_or_by_cell(turned):
    last = turned[turned.epoch == 9]
    same = table_rank_correlation(last, last.assign(epoch=3), ("all images", "a tenth"))
    assert same.spearman.value == pytest.approx(1)
    assert (same.one, same.other, same.candidates) == ("all images", "a tenth", 16)
    cells = last.assign(cell="lattice " + last.candidate + "; reference " + last.candidate)
    renamed = cells.assign(candidate="r" + cells.candidate)
    found = table_rank_correlation(cells, renamed)
    assert (found.candidates, found.spearman.value) == (32, pytest.approx(1))
    with refused(SearchError):
        table_rank_correlation(cells, renamed.assign(cell="other"))
    assert table_rank_correlation(cells, renamed, match_by="candidate").candidates == 0
