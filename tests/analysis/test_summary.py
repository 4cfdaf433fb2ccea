"""The summary of a results table does not depend on the order of its rows."""

import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.summary import candidate_results, stopped_candidates, summary_of_records
from scalesearch.errors import SearchError
from scalesearch.results.records import records_frame
from scalesearch.scaling.coefficients import Coefficients, Shares


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
    found = summary_of_records(records_frame(ROWS), 2.0)
    assert found.best.candidate == "bb"
    assert found.best.accuracy == pytest.approx(0.64)
    assert (found.candidates, found.epoch) == (3, 2)


def test_the_coefficients_multiply_to_the_factor():
    found = summary_of_records(records_frame(ROWS), 3.0)
    assert found.coefficients.factor == pytest.approx(3.0)
    assert found.coefficients.shares.distance(Shares(1 / 3, 1 / 3, 1 / 3)) < 1e-9


def test_references_are_found_under_each_of_their_roles():
    references = summary_of_records(records_frame(ROWS), 2.0).references
    assert {name: result.candidate for name, result in references.items()} == {
        "width": "cc", "uniform": "bb",
    }  # fmt: skip


def test_order_of_rows_and_duplicate_rows_change_nothing():
    shuffled = pd.concat([records_frame(ROWS), records_frame(ROWS)]).sample(frac=1, random_state=0)
    assert summary_of_records(shuffled.assign(note="extra"), 2.0) == summary_of_records(
        records_frame(ROWS), 2.0
    )


def test_standard_errors_pool_what_candidates_and_seeds_leave_over():
    # Seed 1 minus seed 0: .04, -.12, 0; around their mean: .0667, -.0933, .0267; half of the sum
    # of squares over two degrees of freedom, over two seeds.
    expected = ((0.0667**2 + 0.0933**2 + 0.0267**2) / 2 / 2 / 2) ** 0.5
    results = candidate_results(records_frame(ROWS))
    assert [r.standard_error for r in results] == [pytest.approx(expected, rel=1e-2)] * 3


def test_what_a_seed_does_to_all_candidates_alike_is_no_error():
    shifted = [{**one, "accuracy": one["accuracy"] + 0.2 * one["seed"]} for one in ROWS]
    before, after = (
        candidate_results(records_frame(rows))[0].standard_error for rows in (ROWS, shifted)
    )
    assert after == pytest.approx(before)


def test_a_candidate_alone_has_the_spread_of_its_own_seeds():
    (alone,) = candidate_results(records_frame(ROWS[:3]))
    assert alone.standard_error == pytest.approx(0.02)


def test_the_best_is_among_those_with_the_most_seeds():
    records = records_frame([*ROWS, row("dd", 0, 0.99, stopped="out of the race after 1 seed")])
    results = candidate_results(records)
    assert stopped_candidates(records) == ()
    assert [(r.candidate, r.seeds) for r in results] == [("bb", 2), ("aa", 2), ("cc", 2), ("dd", 1)]
    assert results[-1].standard_error == pytest.approx(results[0].standard_error * 2**0.5)
    assert [r.stopped for r in results] == ["", "", "", "out of the race after 1 seed"]


def test_candidates_without_the_last_epoch_are_listed_with_why_they_were_stopped():
    halved = [row("ee", s, 0.2 + s / 10, epoch=1, stopped="halved at epoch 1") for s in (0, 1)]
    going_on = [row("ff", 0, 0.9, epoch=1)]
    found = summary_of_records(records_frame([*ROWS, *halved, *going_on]), 2.0)
    assert found.candidates == 3
    (one,) = found.stopped
    assert (one.candidate, one.role, one.epoch, one.seeds, one.reason) == (
        ("ee", "searched", 1, 2, "halved at epoch 1")
    )
    assert one.accuracy == pytest.approx(0.25)
    assert found.stopped == stopped_candidates(records_frame([*ROWS, *halved, *going_on]))


def test_the_stopped_are_in_order_of_how_far_they_came():
    def halved(candidate, accuracy, epoch):
        return row(candidate, 0, accuracy, epoch=epoch, stopped="halved")

    rows = [halved("dd", 0.1, 1), halved("ee", 0.3, 1), halved("ff", 0.1, 2), row("aa", 0, 0.5)]
    rows.append(row("aa", 0, 0.6, epoch=3))
    assert [one.candidate for one in stopped_candidates(records_frame(rows))] == ["ff", "ee", "dd"]


def test_a_table_without_the_stopped_column_has_no_stopped_candidates():
    old = records_frame([*ROWS, row("ee", 0, 0.2, epoch=1)])
    assert stopped_candidates(old) == stopped_candidates(old.drop(columns="stopped")) == ()
    assert summary_of_records(old, 2.0) == summary_of_records(old.drop(columns="stopped"), 2.0)
    missing = old.assign(stopped=float("nan"))
    assert summary_of_records(old, 2.0) == summary_of_records(missing, 2.0)


def test_a_non_finite_accuracy_is_refused():
    with refused(SearchError):
        candidate_results(records_frame([*ROWS[1:], row("aa", 2, float("nan"))]))


def test_the_requested_seeds_decide_which_candidates_have_finished():
    with refused(SearchError):
        summary_of_records(records_frame(ROWS), 2.0, epochs=3)
    with refused(SearchError):
        summary_of_records(records_frame(ROWS), 2.0, epochs=2, seeds=3)


def test_a_reference_is_measured_against_what_it_stands_for():
    both = [row("aa", seed, 0.5, role="paper+uniform", shares=(0.3, 0.3, 0.4)) for seed in (0, 1)]
    references = summary_of_records(records_frame(both), 2.0).references
    assert references["paper"].asked == Coefficients(1.2, 1.1, 1.15)
    assert references["uniform"].deviation == pytest.approx(0.0816, abs=1e-3)
    assert references["paper"].deviation == pytest.approx(0.0357, abs=1e-3)


def test_one_seed_has_no_standard_error():
    found = summary_of_records(records_frame([row("aa", 0, 0.6), row("bb", 0, 0.5)]), 2.0)
    assert found.best.standard_error is None


def test_an_empty_table_is_refused():
    with refused(SearchError):
        summary_of_records(records_frame([]), 2.0)
