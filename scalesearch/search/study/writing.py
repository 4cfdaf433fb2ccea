"""Write trials to the study: add, record outcomes, and finish.

Each function writes to the study first and then updates the SearchTrial, so a SearchTrial never
holds anything that its study does not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import create_trial

from scalesearch.candidates.budget import Budget
from scalesearch.errors import SearchError
from scalesearch.results.records import SHARE_COLUMNS
from scalesearch.search.design import PlannedTrial
from scalesearch.search.halving_state import SearchTrialState
from scalesearch.search.study import optuna_private
from scalesearch.search.study.search_trial import (
    OPTUNA_STATES,
    OUTCOME_PREFIX,
    SearchTrial,
    mean_accuracies,
    new_search_trial,
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
    """Add a candidate as a running trial, in one transaction.

    Args:
        study: the study to write to.
        planned_trial: the candidate and its cells.
        proposal: the sampler's log of the proposal, for replay.
        budget: for the constraint ``budget``, which is met where it is at most 0.
    """
    trial = new_search_trial(planned_trial, budget=budget)
    trial.proposal = dict(proposal) if proposal is not None else None
    return write_trial(study, trial)


def write_trial(
    study: optuna.Study,
    trial: SearchTrial,
    *,
    values: Sequence[float] | None = None,
    extra_attributes: Mapping[str, Any] | None = None,
) -> SearchTrial:
    """Write a new trial with everything it holds to the study, in one transaction.

    ``values`` are those of a complete trial.
    """
    outcomes = outcome_attributes(trial.rows)
    if trial.state == "stopped":
        values = _value_of_stopped_trial(study, trial)
    template = create_trial(
        state=OPTUNA_STATES[trial.state],
        values=values,
        # Shares outside the simplex (an axis that moves against the budget) are clipped.
        params={axis: min(max(trial.candidate_columns[axis], 0.0), 1.0) for axis in SHARE_COLUMNS},
        distributions=SHARE_DISTRIBUTIONS,
        user_attrs={**trial_attributes(trial), **outcomes, **(extra_attributes or {})},
        intermediate_values=trial.intermediate_values if len(study.directions) == 1 else {},
        constraints=trial.constraints,
    )
    with translate_write_errors(study):
        trial.trial_id = optuna_private.create_trial(study, template)
        if trial.number < 0:
            trial.number = optuna_private.trial_number(study, trial.trial_id)
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
    """Record the epochs of an outcome in one attribute (``seed 0 epochs 1-3``).

    Returns the rows that were not recorded: their seed and epoch are recorded already, or the trial
    has finished.
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
            optuna_private.set_attribute(study, trial.trial_id, name, list(new_rows.values()))
        trial.outcome_names.add(name)
        trial.recorded_epochs.update(new_rows)
        trial.rows.extend(new_rows.values())
    return repeated


def report_mean(study: optuna.Study, trial: SearchTrial, epoch: int, mean_accuracy: float) -> None:
    """Report an epoch's mean accuracy over seeds, again if a seed changes it.

    With several objectives it is kept in the SearchTrial only: Optuna allows no intermediate values
    there.
    """
    if trial.intermediate_values.get(epoch) == mean_accuracy:
        return
    if len(study.directions) == 1:
        with translate_write_errors(study):
            optuna_private.set_intermediate_value(study, trial.trial_id, epoch, mean_accuracy)
    trial.intermediate_values[epoch] = mean_accuracy


def record_tuning(study: optuna.Study, trial: SearchTrial, tuning: Mapping[str, Any]) -> None:
    """Record the result and the cost of the candidate's learning-rate sweep."""
    with translate_write_errors(study):
        optuna_private.set_attribute(study, trial.trial_id, "tuning", dict(tuning))
    trial.tuning = dict(tuning)


def tell_complete(
    study: optuna.Study, trial: SearchTrial, values: Sequence[float], *, reason: str = ""
) -> None:
    """Finish a trial with its values, one for each objective.

    ``reason`` says why it has fewer seeds than others.
    """
    if len(values) != len(study.directions) or any(map(math.isnan, values)):
        raise ValueError(f"need {len(study.directions)} values that are numbers, got {values}")
    if reason:
        with translate_write_errors(study):
            optuna_private.set_attribute(study, trial.trial_id, "stopped", reason)
    _finish_trial(study, trial, "complete", values)
    trial.reason = reason


def tell_stopped(study: optuna.Study, trial: SearchTrial, reason: str) -> None:
    """Stop a trial before its last epoch.

    Its value is the mean accuracy at the last epoch that all its seeds have reached; it has no
    value with several objectives or without such an epoch.
    """
    with translate_write_errors(study):
        optuna_private.set_attribute(study, trial.trial_id, "stopped", reason)
    _finish_trial(study, trial, "stopped", _value_of_stopped_trial(study, trial))
    trial.reason = reason


def tell_failed(study: optuna.Study, trial: SearchTrial, kind: str, reason: str) -> None:
    """Finish a trial that cannot be trained, with the kind of failure and the reason."""
    with translate_write_errors(study):
        optuna_private.set_attribute(study, trial.trial_id, "failure", reason)
        optuna_private.set_attribute(study, trial.trial_id, "failure_kind", kind)
    _finish_trial(study, trial, "failed", None)
    trial.failure_kind, trial.reason = kind, reason


def reopen_trial(
    study: optuna.Study, trial: SearchTrial, rows: Sequence[Mapping[str, Any]] | None = None
) -> SearchTrial:
    """Replace a finished trial by a running one, to retry or to extend it.

    Optuna's finished trials cannot be changed, so this adds a new trial; its attribute
    ``supersedes`` names the old one, which ``read_trials`` then omits. ``rows`` are the rows to
    keep, by default all; with fewer, the means must be reported again.
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
    old_number = optuna_private.trial_number(study, trial.trial_id)
    return write_trial(
        study, reopened_trial, extra_attributes={"supersedes": old_number, "trial": trial.number}
    )


def _value_of_stopped_trial(study: optuna.Study, trial: SearchTrial) -> list[float] | None:
    """Return the last mean accuracy, as Optuna does for a pruned trial."""
    accuracy_by_epoch = mean_accuracies(trial.rows)
    return (
        [accuracy_by_epoch[max(accuracy_by_epoch)]]
        if accuracy_by_epoch and len(study.directions) == 1
        else None
    )


def _unused_name(name: str, used_names: set[str]) -> str:
    """Return an unused attribute name, so that no outcome is overwritten."""
    count, unused_name = 1, name
    while unused_name in used_names:
        count += 1
        unused_name = f"{name} ({count})"
    return unused_name


def _finish_trial(
    study: optuna.Study, trial: SearchTrial, state: SearchTrialState, values: Sequence[float] | None
) -> None:
    if trial.state != "running":
        raise ValueError(
            f"trial {trial.number}: need a running trial to finish, got a {trial.state} one"
        )
    with translate_write_errors(study):
        was_finished = optuna_private.set_state(study, trial.trial_id, OPTUNA_STATES[state], values)
    if not was_finished:
        raise SearchError(
            f"{study_location(study)}: trial {trial.number} could not be finished; run again"
        )
    trial.state = state
