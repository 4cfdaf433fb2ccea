"""A committed table makes the study again, and the study the table."""

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.results.records import (
    CANDIDATE_COLUMNS,
    COLUMNS,
    MEASURED_COLUMNS,
    read_records,
    write_records,
)
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.design import DesignCell, PlannedTrial, planned_trials, search_space
from scalesearch.search.study import rebuilding, writing
from scalesearch.search.study.rebuilding import needs_rebuild, rebuild_study
from scalesearch.search.study.search_trial import (
    PLACEHOLDER_ATTRIBUTE,
    candidate_columns,
    failure_documents,
    mean_accuracies,
    read_trials,
    trial_records,
)
from scalesearch.search.study.storage import open_study
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

RESULTS = Path(__file__).parents[3] / "results"


def empty():
    return open_study(optuna.storages.InMemoryStorage(), "again")


def written(study, trial, accuracies, rows):
    """Rows and means of these accuracies: of each seed, from its first epoch on."""
    for seed, own in enumerate(accuracies):
        new_rows = [rows(seed, epoch, accuracy) for epoch, accuracy in enumerate(own, start=1)]
        record_outcome(study, trial, new_rows, attribute_name=f"seed {seed} epochs 1-{len(own)}")
    for epoch, mean in mean_accuracies(trial.rows).items():
        report_mean(study, trial, epoch, mean)


def ended(study, trial, how, rows):
    """An trial of a search for two seeds and two epochs, ended in one of the ways."""
    if how == "complete":
        written(study, trial, [(0.1, 0.3), (0.2, 0.5)], rows)
        tell_complete(study, trial, [0.4])
    elif how == "raced":
        written(study, trial, [(0.1, 0.25)], rows)
        tell_complete(study, trial, [0.25], reason="out of the race after 1 seeds")
    elif how == "stopped":
        written(study, trial, [(0.1,), (0.2,)], rows)
        tell_stopped(study, trial, "halved at epoch 1: place 5 of 5")
    elif how == "failed":
        written(study, trial, [(0.1,)], rows)
        tell_failed(study, trial, "diverged", "the loss is nan")
    elif how == "failed at once":
        tell_failed(study, trial, "out_of_memory", "needs 3 GB: too much")
    elif how == "running":
        written(study, trial, [(0.1, 0.2), (0.3,)], rows)


def proposed(space, number):
    """What a sampler may have asked for, and got."""
    shares = Shares(0.2, 0.3 + number / 10, 0.5 - number / 10)
    asked = shares.coefficients(2.0)
    return PlannedTrial(
        space.candidate(asked), (DesignCell(f"proposal {number}", "searched", asked),)
    )


WAYS = ("complete", "raced", "stopped", "failed", "failed at once", "running")


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=5))
def test_a_rebuilt_study_equals_the_original(ways, tiny, planned, space, rows, tmp_path):
    study = empty()
    for item, how in zip(planned, ways, strict=False):
        ended(study, add_trial(study, item, budget=space.budget), how, rows)
    trials = read_trials(study)
    write_records(tmp_path / "records.csv", trial_records(trials))
    (tmp_path / "failures.json").write_text(json.dumps(failure_documents(trials)))

    table = read_records(tmp_path / "records.csv")
    failed = json.loads((tmp_path / "failures.json").read_text())
    again = rebuild_study(made := empty(), table, tiny(), space, planned, failed)

    over = [trial for trial in trials if trial.state != "running"]
    numbers = [trial.number for trial in over]
    assert [trial.number for trial in again] == numbers
    pd.testing.assert_frame_equal(trial_records(again), trial_records(over), check_exact=True)
    assert failure_documents(again) == failure_documents(trials)
    before = [study.trials[number] for number in numbers]
    after = [made.trials[number] for number in numbers]
    for then, now in zip(before, after, strict=True):
        assert (now.state, now.values, now.params) == (then.state, then.values, then.params)
        assert now.intermediate_values == then.intermediate_values
        assert now.constraints == then.constraints
    for then, now in zip(over, again, strict=True):
        assert (now.cells, now.candidate_columns, now.network) == (
            then.cells,
            then.candidate_columns,
            then.network,
        )


@pytest.mark.parametrize("name", ["cifar10-lattice", "cifar10-bayes"])
def test_records_without_cells_can_be_rebuilt(name):
    experiment = read_experiment(RESULTS / name / "experiment.yaml")
    space = search_space(
        experiment.baseline.build_architecture(in_channels=3, num_classes=10), experiment.budget
    )
    planned = planned_trials(experiment.search, space)
    table = read_records(RESULTS / name / "records.csv")
    trials = rebuild_study(empty(), table, experiment, space, planned)
    pd.testing.assert_frame_equal(
        trial_records(trials).drop(columns="cell"), table.drop(columns="cell"), check_exact=True
    )
    assert {trial.state for trial in trials} == {"complete"}
    named = {cell["name"] for trial in trials for cell in trial.cells}
    wanted = {cell.name for item in planned for cell in item.cells}
    wanted |= {f"proposal {number}" for number in range(experiment.search.proposal_count or 0)}
    assert named == wanted


def test_a_rebuilt_proposal_keeps_its_cell_and_log(tiny, planned, space, rows):
    study = empty()
    for number, item in enumerate((planned[0], proposed(space, 0), proposed(space, 1))):
        trial = add_trial(study, item, {"number": number - 1} if number else None)
        ended(study, trial, "complete", rows)
    table, logs = trial_records(read_trials(study)), [{"number": 0}, {"number": 1}]
    again = rebuild_study(empty(), table, tiny(), space, planned, proposals=logs)
    assert [trial.cells for trial in again] == [trial.cells for trial in read_trials(study)]
    assert [trial.proposal for trial in again] == [None, {"number": 0}, {"number": 1}]


def test_the_number_of_an_unfinished_trial_is_not_used_again(tiny, planned, space, rows):
    study = empty()
    for item, how in zip(planned, ("complete", "running", "stopped"), strict=False):
        ended(study, add_trial(study, item), how, rows)
    made = empty()
    again = rebuild_study(made, trial_records(read_trials(study)), tiny(), space, planned)
    assert [trial.number for trial in again] == [0, 2]
    assert PLACEHOLDER_ATTRIBUTE in made.trials[1].user_attrs
    assert add_trial(made, planned[1]).number == 3
    assert [trial.number for trial in read_trials(made)] == [0, 2, 3]


def test_a_reopened_trial_keeps_its_number(tiny, planned, space, rows):
    study = empty()
    for item in planned[:2]:
        ended(study, add_trial(study, item), "complete", rows)
    ended(study, reopen_trial(study, read_trials(study)[0]), "complete", rows)
    again = rebuild_study(empty(), trial_records(read_trials(study)), tiny(), space, planned)
    assert [trial.number for trial in again] == [0, 1]


def test_failures_without_a_number_take_the_free_numbers(tiny, planned, space, rows):
    study = empty()
    for item, how in zip(planned, ("complete", "failed at once", "complete"), strict=False):
        ended(study, add_trial(study, item), how, rows)
    first = [
        {
            "candidate": document["candidate"],
            "role": document["role"],
            "reason": "out_of_memory: 3 GB",
        }
        for document in failure_documents(read_trials(study))
    ]  # as version 0.1 wrote them
    again = rebuild_study(empty(), trial_records(read_trials(study)), tiny(), space, planned, first)
    assert [(trial.number, trial.state) for trial in again][1] == (1, "failed")
    assert (again[1].failure_kind, again[1].reason) == ("out_of_memory", "3 GB")
    assert [cell["name"] for cell in again[1].cells] == [c.name for c in planned[1].cells]


def test_the_result_of_a_sweep_is_rebuilt(planned, space, rows, tiny):
    study, experiment = empty(), tiny()
    tuned = replace(experiment, recipe=replace(experiment.recipe, learning_rate_rule="tuned"))
    trial = add_trial(study, planned[0])
    record_tuning(study, trial, {"learning_rate": 0.2, "seconds": 7.0})
    for seed in (0, 1):
        new_rows = [rows(seed, epoch, learning_rate=0.2, tuning_seconds=7.0) for epoch in (1, 2)]
        record_outcome(study, trial, new_rows, attribute_name=f"seed {seed} epochs 1-2")
    tell_complete(study, trial, [0.5])
    table = trial_records([trial])
    assert rebuild_study(empty(), table, tuned, space, planned)[0].tuning == trial.tuning
    assert rebuild_study(empty(), table, experiment, space, planned)[0].tuning is None


@pytest.mark.parametrize(("size", "found"), [(30, None), (15, 15)])
def test_the_micro_batch_of_the_records_is_rebuilt(tiny, planned, space, rows, size, found):
    study = empty()
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1, micro_batch=size)], attribute_name="seed 0")
    tell_stopped(study, trial, "enough")
    rebuild_study(made := empty(), trial_records([trial]), tiny(), space, planned)
    assert made.user_attrs["micro_batch"] == found


def test_an_interrupted_rebuilding_is_completed(
    tiny, planned, space, rows, tmp_path, make_study, monkeypatch
):
    study = empty()
    for item in planned[:3]:
        ended(study, add_trial(study, item), "complete", rows)
    table = trial_records(read_trials(study))
    path = tmp_path / "study.db"
    assert needs_rebuild(make_study(path))
    made = 0

    def dies(*arguments, **more):
        nonlocal made
        if made == 2:
            raise KeyboardInterrupt
        made += 1
        return writing.write_trial(*arguments, **more)

    monkeypatch.setattr(rebuilding, "write_trial", dies)
    with pytest.raises(KeyboardInterrupt):
        rebuild_study(make_study(path), table, tiny(), space, planned)
    monkeypatch.undo()
    assert needs_rebuild(make_study(path))
    trials = rebuild_study(make_study(path), table, tiny(), space, planned)
    pd.testing.assert_frame_equal(trial_records(trials), table, check_exact=True)
    assert not needs_rebuild(make_study(path))


def test_a_study_with_trials_is_not_overwritten(tiny, planned, space):
    study = empty()
    add_trial(study, planned[0])
    assert not needs_rebuild(study)
    with refused(SearchError):
        rebuild_study(study, trial_records([]), tiny(), space, planned)


@pytest.mark.parametrize(
    "spoil",
    [
        {"candidate": "0123456789abcdef"},
        {"trial": [0, 1]},
    ],
)
def test_a_table_of_another_search_is_refused(tiny, planned, space, rows, spoil):
    study = empty()
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1), rows(0, 2)], attribute_name="seed 0")
    table = trial_records([trial]).assign(**spoil)
    with refused(SearchError):
        rebuild_study(made := empty(), table, tiny(), space, planned)
    assert made.trials == []


def test_every_column_is_either_known_before_training_or_measured(planned):
    known = {"trial", "cell", "stopped", *CANDIDATE_COLUMNS}
    assert tuple(candidate_columns(planned[0])) == CANDIDATE_COLUMNS
    assert known | set(MEASURED_COLUMNS) == set(COLUMNS)
