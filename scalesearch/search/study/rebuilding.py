"""A study made again from what is committed of a search: its records, and its failures.

What had ended is entered as it ended, under its number; what had not is left out, so that it
starts again. A number that nothing is entered under is kept by a trial without a candidate.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import optuna
import pandas as pd
from optuna.trial import TrialState, create_trial

from scalesearch.architectures.fingerprint import to_json
from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.results.records import COLUMNS
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.search.design import DesignCell, PlannedTrial, SearchSpace
from scalesearch.search.study.search_trial import (
    CANDIDATE_COLUMNS,
    PLACEHOLDER_ATTRIBUTE,
    SearchTrial,
    SearchTrialState,
    candidate_columns,
    cell_documents,
    mean_accuracies,
    read_trials,
)
from scalesearch.search.study.storage import (
    study_location,
    translate_read_errors,
    translate_write_errors,
)
from scalesearch.search.study.writing import write_trial

MEASURED_COLUMNS = [
    name for name in COLUMNS if name not in ("trial", "cell", "stopped", *CANDIDATE_COLUMNS)
]
REBUILDING_ATTRIBUTE = "rebuilding"
"""Attribute of a study that is not yet made again as a whole."""
SEARCHED = "searched"
_RecordRow: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _RebuildContext:
    """What the experiment says about candidates."""

    experiment: Experiment
    space: SearchSpace
    planned_trials: Sequence[PlannedTrial]
    candidates: Mapping[str, Candidate]
    cells: Mapping[str, DesignCell]


def needs_rebuild(study: optuna.Study) -> bool:
    """Whether a study is empty, or was not made again to its end."""
    if REBUILDING_ATTRIBUTE in study.user_attrs:
        return bool(study.user_attrs[REBUILDING_ATTRIBUTE])
    with translate_read_errors(study):
        return study._storage.get_n_trials(study._study_id) == 0


def rebuild_study(
    study: optuna.Study,
    records: pd.DataFrame,
    experiment: Experiment,
    space: SearchSpace,
    planned_trials: Sequence[PlannedTrial],
    failures: Sequence[Mapping[str, Any]] = (),
    proposals: Sequence[Mapping[str, Any]] = (),
) -> list[SearchTrial]:
    """Enter what a search's table knows into its empty study, and return what is then in it.

    ``where``, ``planned``: the experiment's candidates and plan. ``failed``: what ``failures``
    wrote down. ``proposals``: how proposals came about, each with its ``number``. Where this is
    interrupted, calling it again brings it to its end. Raises SearchError where the study holds
    another search, or a candidate is none of the experiment's.
    """
    if not needs_rebuild(study):
        raise SearchError(
            f"{study_location(study)}: need an empty study to enter records into, got one with trials"
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
        trial_count = study._storage.get_n_trials(study._study_id)
    for number in range(trial_count, max(finished, default=-1) + 1):
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
    """Every candidate that had ended, with its number."""
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
        columns = candidate_columns(PlannedTrial(candidate, tuple(cells))) | {
            "role": failure["role"]
        }
        trial = _make_trial(number, candidate, cells, columns, context)
        trial.state, (trial.reason, trial.failure_kind) = (
            "failed",
            _failure_reason_and_kind(failure),
        )
        yield number, trial


def _rows_by_trial(records: pd.DataFrame) -> dict[int, list[_RecordRow]]:
    """Each trial's rows. Raises SearchError where a number is not one candidate's, and its only."""
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
    """Failures by their trial's number; where none was written down, they fill the gaps."""
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
    if "asked_alpha" in row:  # of a nominal budget only a mesh of candidates is listed
        candidate = context.space.candidate(_asked_coefficients(row))
        if candidate is not None and candidate.fingerprint == fingerprint:
            return candidate
    raise SearchError(
        f"records: candidate {fingerprint} ({row['role']}) is none of this experiment's; need the "
        "records and the experiment.yaml of one search, and a version that counts as theirs did"
    )


def _find_cells(
    number: int, row: Mapping[str, Any], candidate: Candidate, context: _RebuildContext
) -> list[DesignCell]:
    """The cells of a candidate: by name, or for tables without names from the plan."""
    names = [name for name in str(row.get("cell", "")).split("; ") if name]
    if not names:
        for planned_trial in context.planned_trials:
            if planned_trial.candidate.fingerprint == candidate.fingerprint:
                return list(planned_trial.cells)
        names = [
            f"proposal {number - len(context.planned_trials)}"
        ]  # they come one by one after the plan
    coefficients = candidate.shares.coefficients(context.space.budget.factor)
    if "asked_alpha" in row:
        coefficients = _asked_coefficients(row)
    return [context.cells.get(name, DesignCell(name, SEARCHED, coefficients)) for name in names]


def _asked_coefficients(row: Mapping[str, Any]) -> Coefficients:
    return Coefficients(row["asked_alpha"], row["asked_beta"], row["asked_gamma"])


def _final_state(
    rows: Sequence[Mapping[str, Any]], reason: str, experiment: Experiment
) -> SearchTrialState | None:
    """How a candidate ended; None where it had not."""
    epochs: dict[int, list[int]] = {}
    for row in rows:
        epochs.setdefault(row["seed"], []).append(row["epoch"])
    last_epoch = experiment.rungs[-1]
    if any(
        sorted(seed_epochs) != list(range(1, len(seed_epochs) + 1))
        for seed_epochs in epochs.values()
    ):
        return None
    at_end = all(len(own) >= last_epoch for own in epochs.values())
    if at_end and (reason or set(epochs) >= set(experiment.seeds)):
        return "complete"
    return "stopped" if reason else None


def _make_trial(
    number: int,
    candidate: Candidate,
    cells: Sequence[DesignCell],
    columns: dict[str, Any],
    context: _RebuildContext,
) -> SearchTrial:
    budget = context.space.budget
    return SearchTrial(
        number=number,
        trial_id=-1,
        candidate_columns=columns,
        cells=cell_documents(PlannedTrial(candidate, tuple(cells))),
        architecture_json=json.dumps(to_json(candidate.architecture), separators=(",", ":")),
        constraints={"budget": abs(columns["factor"] / budget.factor - 1) - budget.tolerance},
    )


def _failure_reason_and_kind(failure: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and class; version 0.1 wrote them as one."""
    if "kind" in failure:
        return str(failure["reason"]), str(failure["kind"])
    kind, _, reason = str(failure["reason"]).partition(": ")
    return reason, kind


def _tuning_of_row(row: Mapping[str, Any], experiment: Experiment) -> dict[str, Any] | None:
    """What is left on record of a sweep: the rate it found, and what it took."""
    if experiment.recipe.learning_rate_rule != "tuned" or _is_missing(row["learning_rate"]):
        return None
    return {"learning_rate": row["learning_rate"], "seconds": row["tuning_seconds"]}


def _recorded_micro_batch(
    records: pd.DataFrame, experiment: Experiment
) -> tuple[int | None] | None:
    """The study's micro-batch, in a tuple as it may be None, where the table tells it."""
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
        study._storage.create_new_trial(study._study_id, template)


def _is_missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
