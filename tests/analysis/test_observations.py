"""Estimates by candidate: mean seed, noise, and predictions of stopped candidates."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.paired import accuracies, paired_noise
from scalesearch.errors import SearchError


@pytest.fixture
def table(simulated):
    return simulated.records(
        simulated.Case(simulated.hill(0.3, 0.3)), np.random.default_rng(0)
    ).assign(candidate=lambda rows: rows.candidate.astype(str))


@pytest.fixture
def halved(simulated):
    case = simulated.Case(simulated.hill(0.3, 0.3), candidates=27, halved=True)
    return simulated.records(case, np.random.default_rng(0))


def same(one, other):
    for name in ("shares", "values", "seeds", "prediction_variance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    return (one.candidates, one.variance, one.df, one.runs) == (
        (other.candidates, other.variance, other.df, other.runs)
    )


def test_of_a_full_table_the_values_are_the_means_and_the_noise_is_the_paired_one(table):
    found = candidate_estimates(table)
    means = table.groupby("candidate")["accuracy"].mean()
    assert found.candidates == tuple(means.index)
    assert found.values == pytest.approx(means.to_numpy())
    assert found.variance == pytest.approx(paired_noise(accuracies(table, 9)).variance)
    assert found.noise_variances == pytest.approx(found.variance / 3)
    assert found.finished_count == len(means)


def test_a_candidate_that_has_the_lucky_seed_alone_is_not_the_better_for_it(table):
    lucky = table.assign(accuracy=table.accuracy + 0.3 * (table.seed == 2))
    name = lucky.candidate.iloc[0]
    lacking = lucky[(lucky.candidate != name) | (lucky.seed == 2)]
    before, after = candidate_estimates(lucky), candidate_estimates(lacking)
    assert after.values[0] == pytest.approx(before.values[0], abs=0.03)
    assert (after.seeds[0], after.noise_variances[0]) == (1, pytest.approx(after.variance))


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing(halved):
    other = pd.concat([halved, halved]).sample(frac=1, random_state=1).assign(note="x")
    assert same(candidate_estimates(halved), candidate_estimates(other))


def test_the_stopped_are_predicted_from_where_they_stopped(simulated):
    case = simulated.Case(simulated.hill(0.3, 0.3), noise=0.0, candidates=27, halved=True)
    found = candidate_estimates(simulated.records(case, np.random.default_rng(0)))
    assert found.finished_count == 9
    assert len(found.candidates) == 27
    truth = case.accuracy(found.shares)
    assert found.values - truth == pytest.approx(found.values[0] - truth[0], abs=1e-9)


def test_a_prediction_is_less_sure_than_a_measurement_and_about_as_sure_as_it_says(simulated):
    case = simulated.Case(simulated.hill(0.3, 0.3), noise=0.01, candidates=27, halved=True)
    random, standard = np.random.default_rng(0), []
    for _ in range(60):
        found = candidate_estimates(simulated.records(case, random))
        stopped = found.prediction_variance > 0
        assert found.noise_variances[stopped].min() > found.noise_variances[~stopped].max()
        errors = found.values - case.accuracy(found.shares)
        errors -= errors[~stopped].mean()
        standard += [*(errors[stopped] / np.sqrt(found.noise_variances[stopped]))]
    # Those that went on were lucky at first, so the others seem to have a little less to gain.
    assert 0.7 < np.sqrt(np.mean(np.square(standard))) < 1.6


def test_stopped_candidates_count_only_if_marked_and_requested(halved):
    finished = len(halved[halved.epoch == 9].candidate.unique())
    for table in (halved.assign(stopped=""), halved.drop(columns="stopped")):
        assert len(candidate_estimates(table).candidates) == finished
    assert len(candidate_estimates(halved, include_stopped=False).candidates) == finished
    few = set(halved[halved.epoch == 9].candidate.unique()[:2])
    left = halved[halved.candidate.isin(few) | (halved.stopped != "")]
    assert set(candidate_estimates(left).candidates) == few


def test_a_table_without_usable_data_is_refused(table):
    with refused(SearchError):
        candidate_estimates(table[:0])
    with refused(SearchError):
        candidate_estimates(table, epochs=12)
    with refused(SearchError):
        candidate_estimates(table.assign(accuracy=table.accuracy.where(table.candidate != "c003")))
    alone = (table.candidate == "c003") == (table.seed == 0)
    with refused(SearchError):
        candidate_estimates(table[alone])
    with refused(SearchError):
        candidate_estimates(table.assign(depth_share=float("nan")))
