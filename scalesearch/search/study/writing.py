"""A candidate is entered once, written down piece by piece, and ended once.

What is written is at once in the study and in the entry, in this order: an entry never holds what
its study does not.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import create_trial

from scalesearch.architectures.fingerprint import to_json
from scalesearch.candidates.budget import Budget
from scalesearch.errors import SearchError
from scalesearch.search.design import PlannedTrial
from scalesearch.search.study.search_trial import (
    OPTUNA_STATES,
    OUTCOME_PREFIX,
    SHARE_COLUMNS,
    SearchTrial,
    SearchTrialState,
    candidate_columns,
    cell_documents,
    mean_accuracies,
    outcome_attributes,
    trial_attributes,
)
from scalesearch.search.study.storage import study_location, translate_write_errors

SHARE_DISTRIBUTIONS: dict[str, optuna.distributions.BaseDistribution] = {
    axis: optuna.distributions.FloatDistribution(0.0, 1.0) for axis in SHARE_COLUMNS
}


def add_trial(
    study: optuna.Study,
    planned_trial: PlannedTrial,
    proposal: Mapping[str, Any] | None = None,
    *,
    budget: Budget | None = None,
) -> SearchTrial:
    """Enter a candidate as a running trial, whole or not at all.

    ``proposal``: how a sampler came to it, for replay. ``budget``: what the candidate had to keep
    to, for the constraint ``budget`` (kept where it is at most 0).
    """
    factor = planned_trial.candidate.factor
    trial = SearchTrial(
        number=-1,
        trial_id=-1,
        candidate_columns=candidate_columns(planned_trial),
        cells=cell_documents(planned_trial),
        architecture_json=json.dumps(
            to_json(planned_trial.candidate.architecture), separators=(",", ":")
        ),
        proposal=dict(proposal) if proposal is not None else None,
        constraints={}
        if budget is None
        else {"budget": abs(factor / budget.factor - 1) - budget.tolerance},
    )
    return write_trial(study, trial)


def write_trial(
    study: optuna.Study,
    trial: SearchTrial,
    *,
    values: Sequence[float] | None = None,
    extra_attributes: Mapping[str, Any] | None = None,
) -> SearchTrial:
    """Make the trial of an entry that has none yet, with everything it holds, in one transaction.

    Its state is the entry's. ``values``: of a complete one. ``extra``: more attributes.
    """
    outcomes = outcome_attributes(trial.rows)
    if trial.state == "stopped":
        values = _value_of_stopped_trial(study, trial)
    template = create_trial(
        state=OPTUNA_STATES[trial.state],
        values=values,
        # Shares outside the simplex (an axis that moves against the budget) show as its edge.
        params={axis: min(max(trial.candidate_columns[axis], 0.0), 1.0) for axis in SHARE_COLUMNS},
        distributions=SHARE_DISTRIBUTIONS,
        user_attrs={**trial_attributes(trial), **outcomes, **(extra_attributes or {})},
        intermediate_values=trial.intermediate_values if len(study.directions) == 1 else {},
        constraints=trial.constraints,
    )
    with translate_write_errors(study):
        trial.trial_id = study._storage.create_new_trial(study._study_id, template)
        if trial.number < 0:
            trial.number = study._storage.get_trial_number_from_id(trial.trial_id)
    trial.outcome_names = set(outcomes)
    trial.recorded_epochs = {(row["seed"], row["epoch"]) for row in trial.rows}
    return trial


def record_outcome(
    study: optuna.Study,
    trial: SearchTrial,
    rows: Sequence[Mapping[str, Any]],
    *,
    attribute_name: str,
) -> list[dict[str, Any]]:
    """Write down what an outcome's epochs measured, all of them or none.

    ``job``: the attribute's name, ``seed 0 epochs 1-3``. Returns the rows that were not taken: of
    a seed and epoch on record already, or all where the entry has ended.
    """
    if not attribute_name.startswith(OUTCOME_PREFIX):
        raise ValueError(f"need a name that begins with {OUTCOME_PREFIX!r}, got {attribute_name!r}")
    new_rows: dict[tuple[int, int], dict[str, Any]] = {}
    repeated: list[dict[str, Any]] = []
    for row in map(dict, rows):
        key = (row["seed"], row["epoch"])
        if trial.state != "running" or key in trial.recorded_epochs or key in new_rows:
            repeated.append(row)
        else:
            new_rows[key] = row
    if new_rows:
        name = _unused_name(attribute_name, trial.outcome_names)
        with translate_write_errors(study):
            study._storage.set_trial_user_attr(trial.trial_id, name, list(new_rows.values()))
        trial.outcome_names.add(name)
        trial.recorded_epochs.update(new_rows)
        trial.rows.extend(new_rows.values())
    return repeated


def report_mean(study: optuna.Study, trial: SearchTrial, epoch: int, mean_accuracy: float) -> None:
    """Tell an epoch's mean over seeds, once more where further seeds have changed it.

    With several objectives it is only kept in the entry: Optuna knows no such values there.
    """
    if trial.intermediate_values.get(epoch) == mean_accuracy:
        return
    if len(study.directions) == 1:
        with translate_write_errors(study):
            study._storage.set_trial_intermediate_value(trial.trial_id, epoch, mean_accuracy)
    trial.intermediate_values[epoch] = mean_accuracy


def record_tuning(study: optuna.Study, trial: SearchTrial, tuning: Mapping[str, Any]) -> None:
    """Write down what the candidate's learning-rate sweep found and cost."""
    with translate_write_errors(study):
        study._storage.set_trial_user_attr(trial.trial_id, "tuning", dict(tuning))
    trial.tuning = dict(tuning)


def tell_complete(
    study: optuna.Study, trial: SearchTrial, values: Sequence[float], *, reason: str = ""
) -> None:
    """End an entry with its values, one for each objective.

    ``reason``: why it got fewer seeds than others.
    """
    if len(values) != len(study.directions) or any(map(math.isnan, values)):
        raise ValueError(f"need {len(study.directions)} values that are numbers, got {values}")
    if reason:
        with translate_write_errors(study):
            study._storage.set_trial_user_attr(trial.trial_id, "stopped", reason)
    _finish_trial(study, trial, "complete", values)
    trial.reason = reason


def tell_stopped(study: optuna.Study, trial: SearchTrial, reason: str) -> None:
    """End an entry that is trained no further.

    Its value is the mean at the last epoch that all its seeds have reached, where there is one
    objective and such an epoch.
    """
    with translate_write_errors(study):
        study._storage.set_trial_user_attr(trial.trial_id, "stopped", reason)
    _finish_trial(study, trial, "stopped", _value_of_stopped_trial(study, trial))
    trial.reason = reason


def tell_failed(study: optuna.Study, trial: SearchTrial, kind: str, reason: str) -> None:
    """End an entry that cannot be trained, and say why."""
    with translate_write_errors(study):
        study._storage.set_trial_user_attr(trial.trial_id, "failure", reason)
        study._storage.set_trial_user_attr(trial.trial_id, "failure_kind", kind)
    _finish_trial(study, trial, "failed", None)
    trial.failure_kind, trial.reason = kind, reason


def reopen_trial(
    study: optuna.Study, trial: SearchTrial, rows: Sequence[Mapping[str, Any]] | None = None
) -> SearchTrial:
    """A running entry that takes the place of an ended one, to retry or to extend it.

    Optuna's ended trials cannot be changed, so it is a new trial; the attribute ``supersedes``
    names the old one, which ``contents`` then leaves out. ``rows``: what of the old one's is taken
    over, by default all; with fewer, its means are to be reported again.
    """
    kept_rows = [dict(row) for row in (trial.rows if rows is None else rows)]
    kept_rows.sort(key=lambda row: (row["seed"], row["epoch"]))
    reopened_trial = SearchTrial(
        number=trial.number,
        trial_id=-1,
        candidate_columns=trial.candidate_columns,
        cells=trial.cells,
        architecture_json=trial.architecture_json,
        rows=kept_rows,
        tuning=trial.tuning,
        proposal=trial.proposal,
        intermediate_values=dict(trial.intermediate_values)
        if len(kept_rows) == len(trial.rows)
        else {},
        constraints=trial.constraints,
    )
    old_number = study._storage.get_trial_number_from_id(trial.trial_id)
    return write_trial(
        study, reopened_trial, extra_attributes={"supersedes": old_number, "trial": trial.number}
    )


def _value_of_stopped_trial(study: optuna.Study, trial: SearchTrial) -> list[float] | None:
    """As Optuna does for a pruned trial: its last mean."""
    accuracy_by_epoch = mean_accuracies(trial.rows)
    return (
        [accuracy_by_epoch[max(accuracy_by_epoch)]]
        if accuracy_by_epoch and len(study.directions) == 1
        else None
    )


def _unused_name(name: str, used_names: set[str]) -> str:
    """A name that no other outcome of the entry has, so that none is written over."""
    count, unused_name = 1, name
    while unused_name in used_names:
        count += 1
        unused_name = f"{name} ({count})"
    return unused_name


def _finish_trial(
    study: optuna.Study, trial: SearchTrial, state: SearchTrialState, values: Sequence[float] | None
) -> None:
    if trial.state != "running":
        raise ValueError(f"trial {trial.number}: is {trial.state}, and ends once")
    with translate_write_errors(study):
        was_finished = study._storage.set_trial_state_values(
            trial.trial_id, OPTUNA_STATES[state], values
        )
    if not was_finished:
        raise SearchError(f"{study_location(study)}: trial {trial.number} was not ended; run again")
    trial.state = state
