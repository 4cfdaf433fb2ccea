"""Rebuild a study from the committed records and failures of a search.

Finished trials are written as they finished, under their numbers; unfinished ones are left out, so
that they start again. A number that is not used is taken by a placeholder trial.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import optuna
import pandas as pd
from optuna.trial import TrialState, create_trial

from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.results.records import CANDIDATE_COLUMNS, MEASURED_COLUMNS
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.search.design import DesignCell, PlannedTrial, SearchSpace
from scalesearch.search.halving_state import SearchTrialState
from scalesearch.search.study import optuna_private
from scalesearch.search.study.search_trial import (
    PLACEHOLDER_ATTRIBUTE,
    SearchTrial,
    mean_accuracies,
    new_search_trial,
    read_trials,
)
from scalesearch.search.study.storage import (
    study_location,
    translate_read_errors,
    translate_write_errors,
)
from scalesearch.search.study.writing import write_trial

REBUILDING_ATTRIBUTE = "rebuilding"
"""Study attribute: whether rebuilding has started but not finished."""
SEARCHED = "searched"
_RecordRow: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _RebuildContext:
    """Candidates and cells of the experiment."""

    experiment: Experiment
    space: SearchSpace
    planned_trials: Sequence[PlannedTrial]
    candidates: Mapping[str, Candidate]
    cells: Mapping[str, DesignCell]


def needs_rebuild(study: optuna.Study) -> bool:
    """Return whether a study is empty or its rebuilding was interrupted."""
    if REBUILDING_ATTRIBUTE in study.user_attrs:
        return bool(study.user_attrs[REBUILDING_ATTRIBUTE])
    with translate_read_errors(study):
        return optuna_private.trial_count(study) == 0


def rebuild_study(
    study: optuna.Study,
    records: pd.DataFrame,
    experiment: Experiment,
    space: SearchSpace,
    planned_trials: Sequence[PlannedTrial],
    failures: Sequence[Mapping[str, Any]] = (),
    proposals: Sequence[Mapping[str, Any]] = (),
) -> list[SearchTrial]:
    """Write the records of a search to its empty study; return its trials.

    If this is interrupted, calling it again completes it.

    Args:
        study: an empty study, or one whose rebuilding was interrupted.
        records: the search's results table.
        experiment: the search's experiment.
        space: the experiment's candidates.
        planned_trials: the experiment's plan.
        failures: the search's failures, from ``failure_documents``.
        proposals: the logs of proposals, each with its ``number``.

    Raises:
        SearchError: the study has trials, or a candidate does not belong to the experiment.
    """
    if not needs_rebuild(study):
        raise SearchError(
            f"{study_location(study)}: need an empty study to write records to, got one with trials"
        )
    plan = [*planned_trials]
    context = _RebuildContext(
        experiment,
        space,
        plan,
        {
            c.fingerprint: c
            for c in (*space.candidates, *(planned_trial.candidate for planned_trial in plan))
        },
        {cell.name: cell for item in plan for cell in item.cells},
    )
    finished = dict(_finished_trials(records, failures, context))
    proposal_logs = {f"proposal {log['number']}": dict(log) for log in proposals}
    for finished_trial in finished.values():
        finished_trial.proposal = proposal_logs.get(finished_trial.cells[0]["name"])
    with translate_write_errors(study):
        study.set_user_attr(REBUILDING_ATTRIBUTE, True)
        written_count = optuna_private.trial_count(study)
    for number in range(written_count, max(finished, default=-1) + 1):
        if (trial := finished.get(number)) is None:
            _add_placeholder_trial(study)
        else:
            values = _objective_values(trial, experiment) if trial.state == "complete" else None
            write_trial(study, trial, values=values)
    with translate_write_errors(study):
        if (micro_batch := _recorded_micro_batch(records, experiment)) is not None:
            study.set_user_attr("micro_batch", micro_batch[0])
        study.set_user_attr(REBUILDING_ATTRIBUTE, False)
    return read_trials(study)


def _finished_trials(
    records: pd.DataFrame, failures: Sequence[Mapping[str, Any]], context: _RebuildContext
) -> Iterator[tuple[int, SearchTrial]]:
    """Yield each finished trial with its number."""
    rows_by_trial = _rows_by_trial(records)
    failures_by_trial = _failures_by_trial(failures, rows_by_trial)
    for number, trial_rows in rows_by_trial.items():
        first_row = trial_rows[0]
        candidate = _find_candidate(first_row, context)
        cells = _find_cells(number, first_row, candidate, context)
        rows = [
            {name: row[name] for name in MEASURED_COLUMNS if not _is_missing(row[name])}
            for row in trial_rows
        ]
        failure = failures_by_trial.pop(number, None)
        reason = str(first_row["stopped"])
        state = "failed" if failure else _final_state(rows, reason, context.experiment)
        if state is None:
            continue
        columns = {name: first_row[name] for name in CANDIDATE_COLUMNS}
        trial = _make_trial(number, candidate, cells, columns, context)
        trial.rows, trial.intermediate_values, trial.state = rows, mean_accuracies(rows), state
        trial.tuning = _tuning_of_row(first_row, context.experiment)
        trial.reason, trial.failure_kind = (
            _failure_reason_and_kind(failure) if failure else (reason, "")
        )
        yield number, trial
    for number, failure in failures_by_trial.items():
        candidate = _find_candidate(failure, context)
        cells = _find_cells(number, failure, candidate, context)
        trial = _make_trial(number, candidate, cells, {"role": failure["role"]}, context)
        trial.state, (trial.reason, trial.failure_kind) = (
            "failed",
            _failure_reason_and_kind(failure),
        )
        yield number, trial


def _rows_by_trial(records: pd.DataFrame) -> dict[int, list[_RecordRow]]:
    """Group rows by trial. Raises SearchError unless each has its own candidate."""
    pairs = records[["trial", "candidate"]].drop_duplicates()
    if pairs["trial"].duplicated().any() or pairs["candidate"].duplicated().any():
        raise SearchError("records: need one candidate for each trial, got several for one")
    rows_by_trial: dict[int, list[_RecordRow]] = {}
    for row in records.to_dict("records"):
        rows_by_trial.setdefault(row["trial"], []).append({str(name): row[name] for name in row})
    return rows_by_trial


def _failures_by_trial(
    failures: Sequence[Mapping[str, Any]], rows_by_trial: Mapping[int, Sequence[_RecordRow]]
) -> dict[int, Mapping[str, Any]]:
    """Group failures by trial number; those without a number take the free numbers."""
    number_by_candidate = {
        trial_rows[0]["candidate"]: number for number, trial_rows in rows_by_trial.items()
    }
    failures_by_trial: dict[int, Mapping[str, Any]] = {}
    for failure in failures:
        taken_numbers = {**rows_by_trial, **failures_by_trial}
        number = number_by_candidate.get(failure["candidate"], failure.get("trial"))
        if number is None or (
            number in taken_numbers and failure["candidate"] not in number_by_candidate
        ):
            number = next(
                candidate_number
                for candidate_number in range(len(taken_numbers) + 1)
                if candidate_number not in taken_numbers
            )
        failures_by_trial[number] = failure
    return failures_by_trial


def _find_candidate(row: Mapping[str, Any], context: _RebuildContext) -> Candidate:
    fingerprint = str(row["candidate"])
    if fingerprint in context.candidates:
        return context.candidates[fingerprint]
    if "asked_alpha" in row:  # a nominal budget lists only a mesh of its candidates
        candidate = context.space.candidate(_asked_coefficients(row))
        if candidate is not None and candidate.fingerprint == fingerprint:
            return candidate
    raise SearchError(
        f"records: candidate {fingerprint} ({row['role']}) does not belong to this experiment; use "
        "the records and the experiment.yaml of one search, and a version with the same rounding"
    )


def _find_cells(
    number: int, row: Mapping[str, Any], candidate: Candidate, context: _RebuildContext
) -> list[DesignCell]:
    """Find the cells of a candidate by name, or from the plan in old tables."""
    names = [name for name in str(row.get("cell", "")).split("; ") if name]
    if not names:
        for planned_trial in context.planned_trials:
            if planned_trial.candidate.fingerprint == candidate.fingerprint:
                return list(planned_trial.cells)
        # Proposals are numbered one by one after the plan.
        names = [f"proposal {number - len(context.planned_trials)}"]
    coefficients = candidate.shares.coefficients(context.space.budget.factor)
    if "asked_alpha" in row:
        coefficients = _asked_coefficients(row)
    return [context.cells.get(name, DesignCell(name, SEARCHED, coefficients)) for name in names]


def _asked_coefficients(row: Mapping[str, Any]) -> Coefficients:
    return Coefficients(row["asked_alpha"], row["asked_beta"], row["asked_gamma"])


def _final_state(
    rows: Sequence[Mapping[str, Any]], reason: str, experiment: Experiment
) -> SearchTrialState | None:
    """Return the final state of a trial, or None if it has not finished."""
    epochs: dict[int, list[int]] = {}
    for row in rows:
        epochs.setdefault(row["seed"], []).append(row["epoch"])
    last_epoch = experiment.rungs[-1]
    if any(
        sorted(seed_epochs) != list(range(1, len(seed_epochs) + 1))
        for seed_epochs in epochs.values()
    ):
        return None
    at_end = all(len(seed_epochs) >= last_epoch for seed_epochs in epochs.values())
    if at_end and (reason or set(epochs) >= set(experiment.seeds)):
        return "complete"
    return "stopped" if reason else None


def _make_trial(
    number: int,
    candidate: Candidate,
    cells: Sequence[DesignCell],
    columns: Mapping[str, Any],
    context: _RebuildContext,
) -> SearchTrial:
    return new_search_trial(
        PlannedTrial(candidate, tuple(cells)),
        number=number,
        columns=columns,
        budget=context.space.budget,
    )


def _failure_reason_and_kind(failure: Mapping[str, Any]) -> tuple[str, str]:
    """Return reason and kind of a failure; version 0.1 wrote them as one string."""
    if "kind" in failure:
        return str(failure["reason"]), str(failure["kind"])
    kind, _, reason = str(failure["reason"]).partition(": ")
    return reason, kind


def _tuning_of_row(row: Mapping[str, Any], experiment: Experiment) -> dict[str, Any] | None:
    """Return the learning rate and seconds of a sweep, or None if there was none."""
    if experiment.recipe.learning_rate_rule != "tuned" or _is_missing(row["learning_rate"]):
        return None
    return {"learning_rate": row["learning_rate"], "seconds": row["tuning_seconds"]}


def _recorded_micro_batch(
    records: pd.DataFrame, experiment: Experiment
) -> tuple[int | None] | None:
    """Return the micro-batch of the records, or None if there is no single one.

    It is in a tuple, since the micro-batch itself may be None (the whole batch).
    """
    sizes = records["micro_batch"].dropna().unique()
    if len(sizes) != 1:
        return None
    recipe = experiment.recipe
    is_default = sizes[0] == (recipe.micro_batch or recipe.batch_size)
    return (recipe.micro_batch if is_default else int(sizes[0]),)


def _objective_values(trial: SearchTrial, experiment: Experiment) -> list[float]:
    cost_column = experiment.search.against
    value = trial.intermediate_values[max(trial.intermediate_values)]
    return [value, *([float(trial.candidate_columns[cost_column])] if cost_column else [])]


def _add_placeholder_trial(study: optuna.Study) -> None:
    explanation = "nothing that had ended has this number"
    template = create_trial(state=TrialState.FAIL, user_attrs={PLACEHOLDER_ATTRIBUTE: explanation})
    with translate_write_errors(study):
        optuna_private.create_trial(study, template)


def _is_missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
