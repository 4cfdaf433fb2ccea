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


def empty_study():
    return open_study(optuna.storages.InMemoryStorage(), "again")


def write_rows(study, trial, accuracies, rows):
    """Rows and means of these accuracies: of each seed, from its first epoch on."""
    for seed, seed_accuracies in enumerate(accuracies):
        new_rows = [
            rows(seed, epoch, accuracy) for epoch, accuracy in enumerate(seed_accuracies, start=1)
        ]
        record_outcome(
            study, trial, new_rows, attribute_name=f"seed {seed} epochs 1-{len(seed_accuracies)}"
        )
    for epoch, mean in mean_accuracies(trial.rows).items():
        report_mean(study, trial, epoch, mean)


def end_trial(study, trial, ending, rows):
    """An trial of a search for two seeds and two epochs, ended in one of the ways."""
    if ending == "complete":
        write_rows(study, trial, [(0.1, 0.3), (0.2, 0.5)], rows)
        tell_complete(study, trial, [0.4])
    elif ending == "raced":
        write_rows(study, trial, [(0.1, 0.25)], rows)
        tell_complete(study, trial, [0.25], reason="out of the race after 1 seeds")
    elif ending == "stopped":
        write_rows(study, trial, [(0.1,), (0.2,)], rows)
        tell_stopped(study, trial, "halved at epoch 1: place 5 of 5")
    elif ending == "failed":
        write_rows(study, trial, [(0.1,)], rows)
        tell_failed(study, trial, "diverged", "the loss is nan")
    elif ending == "failed at once":
        tell_failed(study, trial, "out_of_memory", "needs 3 GB: too much")
    elif ending == "running":
        write_rows(study, trial, [(0.1, 0.2), (0.3,)], rows)


def proposed_trial(space, number):
    """What a sampler may have asked for, and got."""
    shares = Shares(0.2, 0.3 + number / 10, 0.5 - number / 10)
    coefficients = shares.coefficients(2.0)
    return PlannedTrial(
        space.candidate(coefficients), (DesignCell(f"proposal {number}", "searched", coefficients),)
    )


WAYS = ("complete", "raced", "stopped", "failed", "failed at once", "running")


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(endings=st.lists(st.sampled_from(WAYS), min_size=1, max_size=5))
def test_a_rebuilt_study_equals_the_original(endings, tiny, planned, space, rows, tmp_path):
    study = empty_study()
    for planned_trial, ending in zip(planned, endings, strict=False):
        end_trial(study, add_trial(study, planned_trial, budget=space.budget), ending, rows)
    trials = read_trials(study)
    write_records(tmp_path / "records.csv", trial_records(trials))
    (tmp_path / "failures.json").write_text(json.dumps(failure_documents(trials)))

    table = read_records(tmp_path / "records.csv")
    failed = json.loads((tmp_path / "failures.json").read_text())
    rebuilt = rebuild_study(new_study := empty_study(), table, tiny(), space, planned, failed)

    over = [trial for trial in trials if trial.state != "running"]
    numbers = [trial.number for trial in over]
    assert [trial.number for trial in rebuilt] == numbers
    pd.testing.assert_frame_equal(trial_records(rebuilt), trial_records(over), check_exact=True)
    assert failure_documents(rebuilt) == failure_documents(trials)
    before = [study.trials[number] for number in numbers]
    after = [new_study.trials[number] for number in numbers]
    for original, restored in zip(before, after, strict=True):
        assert (restored.state, restored.values, restored.params) == (
            original.state,
            original.values,
            original.params,
        )
        assert restored.intermediate_values == original.intermediate_values
        assert restored.constraints == original.constraints
    for original, restored in zip(over, rebuilt, strict=True):
        assert (restored.cells, restored.candidate_columns, restored.network) == (
            original.cells,
            original.candidate_columns,
            original.network,
        )


@pytest.mark.parametrize("name", ["cifar10-lattice", "cifar10-bayes"])
def test_records_without_cells_can_be_rebuilt(name):
    experiment = read_experiment(RESULTS / name / "experiment.yaml")
    space = search_space(
        experiment.baseline.build_architecture(in_channels=3, num_classes=10), experiment.budget
    )
    planned = planned_trials(experiment.search, space)
    table = read_records(RESULTS / name / "records.csv")
    trials = rebuild_study(empty_study(), table, experiment, space, planned)
    pd.testing.assert_frame_equal(
        trial_records(trials).drop(columns="cell"), table.drop(columns="cell"), check_exact=True
    )
    assert {trial.state for trial in trials} == {"complete"}
    named = {cell["name"] for trial in trials for cell in trial.cells}
    cell_names = {cell.name for planned_trial in planned for cell in planned_trial.cells}
    cell_names |= {f"proposal {number}" for number in range(experiment.search.proposal_count or 0)}
    assert named == cell_names


def test_a_rebuilt_proposal_keeps_its_cell_and_log(tiny, planned, space, rows):
    study = empty_study()
    for number, planned_trial in enumerate(
        (planned[0], proposed_trial(space, 0), proposed_trial(space, 1))
    ):
        trial = add_trial(study, planned_trial, {"number": number - 1} if number else None)
        end_trial(study, trial, "complete", rows)
    table, logs = trial_records(read_trials(study)), [{"number": 0}, {"number": 1}]
    rebuilt = rebuild_study(empty_study(), table, tiny(), space, planned, proposals=logs)
    assert [trial.cells for trial in rebuilt] == [trial.cells for trial in read_trials(study)]
    assert [trial.proposal for trial in rebuilt] == [None, {"number": 0}, {"number": 1}]


def test_the_number_of_an_unfinished_trial_is_not_used_again(tiny, planned, space, rows):
    study = empty_study()
    for planned_trial, ending in zip(planned, ("complete", "running", "stopped"), strict=False):
        end_trial(study, add_trial(study, planned_trial), ending, rows)
    new_study = empty_study()
    rebuilt = rebuild_study(new_study, trial_records(read_trials(study)), tiny(), space, planned)
    assert [trial.number for trial in rebuilt] == [0, 2]
    assert PLACEHOLDER_ATTRIBUTE in new_study.trials[1].user_attrs
    assert add_trial(new_study, planned[1]).number == 3
    assert [trial.number for trial in read_trials(new_study)] == [0, 2, 3]


def test_a_reopened_trial_keeps_its_number(tiny, planned, space, rows):
    study = empty_study()
    for planned_trial in planned[:2]:
        end_trial(study, add_trial(study, planned_trial), "complete", rows)
    end_trial(study, reopen_trial(study, read_trials(study)[0]), "complete", rows)
    rebuilt = rebuild_study(
        empty_study(), trial_records(read_trials(study)), tiny(), space, planned
    )
    assert [trial.number for trial in rebuilt] == [0, 1]


def test_failures_without_a_number_take_the_free_numbers(tiny, planned, space, rows):
    study = empty_study()
    for planned_trial, ending in zip(
        planned, ("complete", "failed at once", "complete"), strict=False
    ):
        end_trial(study, add_trial(study, planned_trial), ending, rows)
    first = [
        {
            "candidate": document["candidate"],
            "role": document["role"],
            "reason": "out_of_memory: 3 GB",
        }
        for document in failure_documents(read_trials(study))
    ]  # as version 0.1 wrote them
    rebuilt = rebuild_study(
        empty_study(), trial_records(read_trials(study)), tiny(), space, planned, first
    )
    assert [(trial.number, trial.state) for trial in rebuilt][1] == (1, "failed")
    assert (rebuilt[1].failure_kind, rebuilt[1].reason) == ("out_of_memory", "3 GB")
    assert [cell["name"] for cell in rebuilt[1].cells] == [
        planned_cell.name for planned_cell in planned[1].cells
    ]


def test_the_result_of_a_sweep_is_rebuilt(planned, space, rows, tiny):
    study, experiment = empty_study(), tiny()
    tuned = replace(experiment, recipe=replace(experiment.recipe, learning_rate_rule="tuned"))
    trial = add_trial(study, planned[0])
    record_tuning(study, trial, {"learning_rate": 0.2, "seconds": 7.0})
    for seed in (0, 1):
        new_rows = [rows(seed, epoch, learning_rate=0.2, tuning_seconds=7.0) for epoch in (1, 2)]
        record_outcome(study, trial, new_rows, attribute_name=f"seed {seed} epochs 1-2")
    tell_complete(study, trial, [0.5])
    table = trial_records([trial])
    assert rebuild_study(empty_study(), table, tuned, space, planned)[0].tuning == trial.tuning
    assert rebuild_study(empty_study(), table, experiment, space, planned)[0].tuning is None


@pytest.mark.parametrize(("size", "expected"), [(30, None), (15, 15)])
def test_the_micro_batch_of_the_records_is_rebuilt(tiny, planned, space, rows, size, expected):
    study = empty_study()
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1, micro_batch=size)], attribute_name="seed 0")
    tell_stopped(study, trial, "enough")
    rebuild_study(new_study := empty_study(), trial_records([trial]), tiny(), space, planned)
    assert new_study.user_attrs["micro_batch"] == expected


def test_an_interrupted_rebuilding_is_completed(
    tiny, planned, space, rows, tmp_path, make_study, monkeypatch
):
    study = empty_study()
    for planned_trial in planned[:3]:
        end_trial(study, add_trial(study, planned_trial), "complete", rows)
    table = trial_records(read_trials(study))
    path = tmp_path / "study.db"
    assert needs_rebuild(make_study(path))
    trials_added = 0

    def die_at_second(*arguments, **options):
        nonlocal trials_added
        if trials_added == 2:
            raise KeyboardInterrupt
        trials_added += 1
        return writing.write_trial(*arguments, **options)

    monkeypatch.setattr(rebuilding, "write_trial", die_at_second)
    with pytest.raises(KeyboardInterrupt):
        rebuild_study(make_study(path), table, tiny(), space, planned)
    monkeypatch.undo()
    assert needs_rebuild(make_study(path))
    trials = rebuild_study(make_study(path), table, tiny(), space, planned)
    pd.testing.assert_frame_equal(trial_records(trials), table, check_exact=True)
    assert not needs_rebuild(make_study(path))


def test_a_study_with_trials_is_not_overwritten(tiny, planned, space):
    study = empty_study()
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
    study = empty_study()
    trial = add_trial(study, planned[0])
    record_outcome(study, trial, [rows(0, 1), rows(0, 2)], attribute_name="seed 0")
    table = trial_records([trial]).assign(**spoil)
    with refused(SearchError):
        rebuild_study(new_study := empty_study(), table, tiny(), space, planned)
    assert new_study.trials == []


def test_every_column_is_either_known_before_training_or_measured(planned):
    known = {"trial", "cell", "stopped", *CANDIDATE_COLUMNS}
    assert tuple(candidate_columns(planned[0])) == CANDIDATE_COLUMNS
    assert known | set(MEASURED_COLUMNS) == set(COLUMNS)
