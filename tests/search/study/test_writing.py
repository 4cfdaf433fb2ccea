"""What is written of a candidate is in the study, whole or not at all, in every storage."""

from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState
from refusals import refused

from scalesearch.scaling.coefficients import Shares
from scalesearch.search.study.search_trial import failure_documents, read_trials, trial_records
from scalesearch.search.study.writing import (
    add_trial,
    record_outcome,
    record_tuning,
    reopen_trial,
    report_mean,
    tell_complete,
    tell_failed,
    tell_stopped,
)


def are_equal(one_trial, other_trial):
    """Entries that are equal but for the network that one of them may have parsed."""
    assert [str(trial.network) for trial in one_trial] == [
        str(trial.network) for trial in other_trial
    ]
    assert one_trial == other_trial


def test_a_trial_read_from_the_study_equals_the_written_one(study, planned, rows, tiny):
    budget = tiny().budget
    first, second, third, fourth, fifth = (
        add_trial(study, planned_trial, {"number": number}, budget=budget)
        for number, planned_trial in enumerate(planned[:5])
    )
    for trial in (first, second, third, fifth):
        for seed in (0, 1):
            record_outcome(
                study,
                trial,
                [rows(seed, 1, 0.25), rows(seed, 2, 0.5)],
                attribute_name=f"seed {seed}",
            )
        for epoch, mean in ((1, 0.25), (2, 0.5)):
            report_mean(study, trial, epoch, mean)
    record_tuning(study, first, {"learning_rate": 0.1, "seconds": 3.0})
    tell_complete(study, first, [0.5])
    tell_stopped(study, second, "halved at epoch 2: place 3 of 3")
    tell_failed(study, third, "diverged", "the loss is nan")
    tell_complete(study, fifth, [0.5], reason="out of the race after 2 seeds")
    states = ["complete", "stopped", "failed", "running", "complete"]
    trials = [first, second, third, fourth, fifth]
    assert [trial.state for trial in trials] == states
    are_equal(read_trials(study), trials)


def test_the_rows_of_a_seed_are_in_order_of_epochs(study, planned, rows):
    trial = add_trial(study, planned[0])
    for epoch in (3, 1, 2):
        record_outcome(
            study, trial, [rows(7, epoch)], attribute_name=f"seed 7 epochs {epoch}-{epoch}"
        )
    assert [row["epoch"] for row in trial.rows_of_seed(7)] == [1, 2, 3]
    assert [row["epoch"] for row in read_trials(study)[0].rows_of_seed(7)] == [1, 2, 3]


def test_a_recorded_epoch_is_not_recorded_again(study, planned, rows):
    trial = add_trial(study, planned[0])
    record_outcome(
        study, trial, [rows(0, 1, 0.1), rows(0, 2, 0.2)], attribute_name="seed 0 epochs 1-2"
    )
    late_rows = [rows(0, 2, 0.9), rows(0, 3, 0.3), rows(0, 3, 0.9)]
    assert record_outcome(study, trial, late_rows, attribute_name="seed 0 epochs 1-3") == [
        late_rows[0],
        late_rows[2],
    ]
    assert (
        record_outcome(study, trial, late_rows[:1], attribute_name="seed 0 epochs 1-3")
        == late_rows[:1]
    )
    accuracies = [row["accuracy"] for row in read_trials(study)[0].rows]
    assert accuracies == [0.1, 0.2, 0.3] == [row["accuracy"] for row in trial.rows]


def test_an_outcome_of_the_same_name_overwrites_nothing(study, planned, rows):
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-3")
    trial = read_trials(study)[0]
    record_outcome(study, trial, [rows(0, 2)], attribute_name="seed 0 epochs 1-3")
    assert [row["epoch"] for row in read_trials(study)[0].rows] == [1, 2]


def test_an_outcome_of_a_finished_trial_is_not_recorded(study, planned, rows):
    trial = add_trial(study, planned[0])
    tell_stopped(study, trial, "enough")
    assert record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1") == [
        rows(0, 1)
    ]
    assert read_trials(study)[0].rows == []
    with refused(ValueError):
        tell_complete(study, trial, [0.5])


def test_a_mean_is_reported_again_after_another_seed(study, planned):
    trial = add_trial(study, planned[0])
    for mean in (0.5, 0.4):
        report_mean(study, trial, 1, mean)
    assert study.trials[0].intermediate_values == {1: 0.4} == trial.intermediate_values


def test_the_value_of_a_stopped_trial_is_the_mean_at_its_last_common_epoch(study, planned, rows):
    trial = add_trial(study, planned[0])
    new_rows = [rows(0, 1, 0.2), rows(0, 2, 0.9), rows(1, 1, 0.4)]
    record_outcome(study, trial, new_rows, attribute_name="seeds 0, 1")
    tell_stopped(study, trial, "halved at epoch 1: place 2 of 3")
    assert study.trials[0].state == TrialState.PRUNED
    assert study.trials[0].value == pytest.approx(0.3)


def test_a_reopened_trial_replaces_the_old_one(study, planned, rows):
    trials = [add_trial(study, planned_trial) for planned_trial in planned[:2]]
    record_outcome(
        study, trials[0], [rows(0, 1), rows(1, 1)], attribute_name="seeds 0, 1 epochs 1-1"
    )
    report_mean(study, trials[0], 1, 0.5)
    record_tuning(study, trials[0], {"learning_rate": 0.1, "seconds": 3.0})
    tell_failed(study, trials[0], "worker_lost", "killed")
    reopened = reopen_trial(study, trials[0])
    assert (reopened.state, reopened.number, reopened.rows) == ("running", 0, trials[0].rows)
    are_equal(read_trials(study), [reopened, trials[1]])
    assert record_outcome(
        study, reopened, [rows(0, 1), rows(0, 2)], attribute_name="seed 0 epochs 1-2"
    ) == [rows(0, 1)]
    record_outcome(study, reopened, [rows(1, 2)], attribute_name="seed 1 epochs 2-2")
    tell_complete(study, reopened, [0.5])
    once_more = reopen_trial(study, reopened)
    are_equal(read_trials(study), [once_more, trials[1]])
    assert failure_documents(read_trials(study)) == []
    assert set(trial_records(read_trials(study))["trial"]) == {0}


def test_a_trial_reopened_without_its_rows_starts_again(study, planned, rows):
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1), rows(1, 1)], attribute_name="seeds 0, 1")
    report_mean(study, trial, 1, 0.5)
    tell_stopped(study, trial, "enough")
    reopened = reopen_trial(study, trial, [row for row in trial.rows if row["seed"] == 1])
    assert (reopened.rows, reopened.intermediate_values) == ([rows(1, 1)], {})
    are_equal(read_trials(study), [reopened])


def test_shares_outside_the_simplex_are_clipped_in_optuna(study, planned):
    candidate = replace(planned[0].candidate, shares=Shares(1.2, -0.2, 0.0))
    trial = add_trial(study, replace(planned[0], candidate=candidate))
    params = {"depth_share": 1.0, "width_share": 0.0, "resolution_share": 0.0}
    assert study.trials[0].params == params
    assert read_trials(study)[0].shares == trial.shares == Shares(1.2, -0.2, 0.0)


def test_records_have_the_cells_and_the_reason_for_stopping(study, planned, rows):
    for planned_trial in planned[:2]:
        trial = add_trial(study, planned_trial)
        record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
    tell_stopped(study, trial, "halved at epoch 1: place 2 of 2")
    records = trial_records(read_trials(study))
    assert list(records["cell"]) == [
        "; ".join(cell.name for cell in planned_trial.cells) for planned_trial in planned[:2]
    ]
    assert list(records["stopped"]) == ["", "halved at epoch 1: place 2 of 2"]


def test_failures_name_the_candidate_the_class_and_the_reason(study, planned):
    trial = add_trial(study, planned[1])
    tell_failed(study, trial, "out_of_memory", "needs 3 GB")
    (document,) = failure_documents(read_trials(study))
    assert document["candidate"] == planned[1].candidate.fingerprint
    assert (document["trial"], document["role"]) == (0, planned[1].role)
    assert (document["kind"], document["reason"]) == ("out_of_memory", "needs 3 GB")


def test_several_objectives_have_a_value_each(planned, rows, make_study):
    storage = optuna.storages.InMemoryStorage()
    study = make_study(storage, "two", ["maximize", "minimize"])
    complete_trial, stopped_trial = add_trial(study, planned[0]), add_trial(study, planned[1])
    for trial in (complete_trial, stopped_trial):
        record_outcome(study, trial, [rows(0, 1)], attribute_name="seed 0 epochs 1-1")
        report_mean(study, trial, 1, 0.5)
    with refused(ValueError):
        tell_complete(study, complete_trial, [0.5])
    with refused(ValueError):
        tell_complete(study, complete_trial, [float("nan"), 1.0])
    tell_complete(study, complete_trial, [0.5, 7.0])
    tell_stopped(study, stopped_trial, "enough")
    assert [trial.values for trial in study.trials] == [[0.5, 7.0], None]
