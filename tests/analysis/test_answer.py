"""The answer follows from the table alone, in whatever order it comes."""

import pandas as pd
import pytest

from scalesearch.analysis import answer, summary
from scalesearch.errors import SearchError
from scalesearch.records import table
from scalesearch.scaling import Coefficients, Shares


def row(candidate, seed, accuracy, *, epoch=2, role="searched", shares=(0.2, 0.4, 0.4), **other):
    depth, width, resolution = shares
    return {
        "trial": 0, "candidate": candidate, "role": role, "seed": seed, "epoch": epoch,
        "alpha": 1.2, "beta": 1.1, "gamma": 1.15, "depth_share": depth, "width_share": width,
        "resolution_share": resolution, "resolution": 32, "macs": 10, "params": 20,
        "activations": 30, "factor": 2.0, "asked_alpha": 1.2, "asked_beta": 1.1,
        "asked_gamma": 1.15, "deviation": 0.01, "train_loss": 1.0, "loss": 1.0,
        "accuracy": accuracy, "seconds": 1.0, "images_per_second": 1.0, "device": "cpu",
        "commit": "", **other,
    }  # fmt: skip


ROWS = [
    row("aa", 0, 0.10, epoch=1),
    row("aa", 0, 0.60),
    row("aa", 1, 0.64),
    row("bb", 0, 0.70, role="searched+uniform", shares=(1 / 3, 1 / 3, 1 / 3)),
    row("bb", 1, 0.58, role="searched+uniform", shares=(1 / 3, 1 / 3, 1 / 3)),
    row("cc", 0, 0.50, role="width", shares=(0.0, 1.0, 0.0)),
    row("cc", 1, 0.50, role="width", shares=(0.0, 1.0, 0.0)),
]


def test_the_best_has_the_highest_mean_over_seeds_at_the_last_epoch():
    found = answer(table(ROWS), 2.0)
    assert found.best.candidate == "bb"
    assert found.best.accuracy == pytest.approx(0.64)
    assert found.best.standard_error == pytest.approx(0.06)
    assert (found.candidates, found.epoch) == (3, 2)


def test_the_coefficients_multiply_to_the_factor():
    found = answer(table(ROWS), 3.0)
    assert found.coefficients.factor == pytest.approx(3.0)
    assert found.coefficients.shares.distance(Shares(1 / 3, 1 / 3, 1 / 3)) < 1e-9


def test_references_are_found_under_every_role_they_bear():
    references = answer(table(ROWS), 2.0).references
    assert {name: result.candidate for name, result in references.items()} == {
        "width": "cc", "uniform": "bb",
    }  # fmt: skip


def test_order_of_rows_and_duplicate_rows_change_nothing():
    shuffled = pd.concat([table(ROWS), table(ROWS)]).sample(frac=1, random_state=0)
    assert answer(shuffled.assign(note="extra"), 2.0) == answer(table(ROWS), 2.0)


def test_a_candidate_that_lacks_a_seed_or_an_epoch_is_not_compared():
    unfinished = [row("dd", 0, 0.99), row("ee", 0, 0.99, epoch=1), row("ee", 1, 0.99, epoch=1)]
    assert {r.candidate for r in summary(table(ROWS + unfinished))} == {"aa", "bb", "cc"}


def test_what_the_experiment_asked_for_decides_who_has_finished():
    with pytest.raises(SearchError, match="no candidate has finished"):
        answer(table(ROWS), 2.0, epochs=3)
    with pytest.raises(SearchError, match="no candidate has finished"):
        answer(table(ROWS), 2.0, epochs=2, seeds=3)


def test_a_reference_is_measured_against_what_it_stands_for():
    both = [row("aa", seed, 0.5, role="paper+uniform", shares=(0.3, 0.3, 0.4)) for seed in (0, 1)]
    references = answer(table(both), 2.0).references
    assert references["paper"].asked == Coefficients(1.2, 1.1, 1.15)
    assert references["uniform"].deviation == pytest.approx(0.0816, abs=1e-3)
    assert references["paper"].deviation == pytest.approx(0.0357, abs=1e-3)


def test_one_seed_has_no_standard_error():
    found = answer(table([row("aa", 0, 0.6), row("bb", 0, 0.5)]), 2.0)
    assert found.best.standard_error is None


def test_an_empty_table_is_refused():
    with pytest.raises(SearchError, match="at least one finished candidate, got an empty table"):
        answer(table([]), 2.0)
