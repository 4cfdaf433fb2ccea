"""A trial of a search, its study attributes, and the tables derived from it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import from_json, to_json
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.errors import SearchError
from scalesearch.results.records import (
    CANDIDATE_COLUMNS,
    SHARE_COLUMNS,
    records_frame,
    share_columns,
)
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.design import PlannedTrial
from scalesearch.search.halving_state import SearchTrialState
from scalesearch.search.study.optuna_private import trial_id
from scalesearch.search.study.storage import study_location, translate_read_errors

OUTCOME_PREFIX = "seed"
"""Prefix of the study attributes that hold measured epochs."""

OPTUNA_STATES: dict[SearchTrialState, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(slots=True)
class SearchTrial:
    """A candidate in a search, with its state and results.

    The functions of ``study.writing`` keep it equal to its Optuna trial.
    """

    number: int
    """Column ``trial`` of the records; it stays the same when the trial is reopened."""
    trial_id: int
    """Id of the Optuna trial in its storage; -1 before it is written."""
    candidate_columns: dict[str, Any]
    """Columns of the records that are known before training."""
    cells: list[dict[str, Any]]
    """Cells of the design, or the proposal, that this candidate stands for."""
    architecture_json: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Measurements, one row for each epoch of each seed."""
    tuning: dict[str, Any] | None = None
    """Learning rate and seconds of the learning-rate sweep."""
    state: SearchTrialState = "running"
    reason: str = ""
    """Why it was stopped, failed, or completed with fewer seeds than others; else empty."""
    failure_kind: str = ""
    proposal: dict[str, Any] | None = None
    """The sampler's log of the proposal."""
    intermediate_values: dict[int, float] = field(default_factory=dict)
    """Mean accuracy over seeds, by epoch."""
    constraints: dict[str, float] = field(default_factory=dict)
    """Optuna constraints by name; met where at most 0."""
    outcome_names: set[str] = field(default_factory=set, repr=False)
    """Names of the study attributes with measured epochs."""
    recorded_epochs: set[tuple[int, int]] = field(default_factory=set, repr=False)
    """(seed, epoch) of all rows."""
    _network: Architecture | CustomModel | None = field(default=None, repr=False)

    @property
    def candidate(self) -> str:
        """The architecture's fingerprint."""
        return str(self.candidate_columns["candidate"])

    @property
    def cell(self) -> str:
        """Names of its cells, the column of the records."""
        return "; ".join(cell["name"] for cell in self.cells)

    @property
    def stopped(self) -> str:
        """Why it was stopped, the column of the records."""
        return self.reason if self.state in ("stopped", "complete") else ""

    @property
    def shares(self) -> Shares:
        """Effective shares of the trained network."""
        return Shares(*(self.candidate_columns[axis] for axis in SHARE_COLUMNS))

    @property
    def network(self) -> Architecture | CustomModel:
        """The architecture, read from its JSON when it is first needed."""
        if self._network is None:
            self._network = from_json(json.loads(self.architecture_json))
        return self._network

    def rows_of_seed(self, seed: int) -> list[dict[str, Any]]:
        """Return the rows of a seed in order of epochs."""
        seed_rows = [row for row in self.rows if row["seed"] == seed]
        return sorted(seed_rows, key=lambda row: int(row["epoch"]))


def candidate_columns(planned_trial: PlannedTrial) -> dict[str, Any]:
    """Return the columns of the records that are known before training."""
    candidate, first_cell = planned_trial.candidate, planned_trial.cells[0]
    return {
        "candidate": candidate.fingerprint,
        "role": planned_trial.role,
        "alpha": candidate.multipliers.depth,
        "beta": candidate.multipliers.width,
        "gamma": candidate.multipliers.resolution,
        **share_columns(candidate.shares),
        "resolution": candidate.architecture.resolution,
        "macs": candidate.cost.macs,
        "params": candidate.cost.params,
        "activations": candidate.cost.activations,
        "factor": candidate.factor,
        "asked_alpha": first_cell.requested.alpha,
        "asked_beta": first_cell.requested.beta,
        "asked_gamma": first_cell.requested.gamma,
        "deviation": planned_trial.deviations[first_cell.name],
    }


def cell_documents(planned_trial: PlannedTrial) -> list[dict[str, Any]]:
    """Return the cells of a planned trial as JSON documents."""
    return [
        {
            "name": cell.name,
            "role": cell.role,
            "alpha": cell.requested.alpha,
            "beta": cell.requested.beta,
            "gamma": cell.requested.gamma,
            "deviation": planned_trial.deviations[cell.name],
        }
        for cell in planned_trial.cells
    ]


def new_search_trial(
    planned_trial: PlannedTrial,
    *,
    number: int = -1,
    columns: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
) -> SearchTrial:
    """Create a running trial that is not written yet.

    Args:
        planned_trial: the candidate and its cells.
        number: its number; -1 takes the number of the Optuna trial.
        columns: values that replace those of ``candidate_columns``.
        budget: for the constraint ``budget``.
    """
    all_columns = candidate_columns(planned_trial) | dict(columns or {})
    constraints = {}
    if budget is not None:
        constraints["budget"] = abs(all_columns["factor"] / budget.factor - 1) - budget.tolerance
    architecture = to_json(planned_trial.candidate.architecture)
    return SearchTrial(
        number=number,
        trial_id=-1,
        candidate_columns=all_columns,
        cells=cell_documents(planned_trial),
        architecture_json=json.dumps(architecture, separators=(",", ":")),
        constraints=constraints,
    )


def trial_attributes(trial: SearchTrial) -> dict[str, Any]:
    """Return the study attributes of a trial, except its outcomes."""
    optional = {
        "proposal": trial.proposal,
        "tuning": trial.tuning,
        "stopped": trial.stopped or None,
        "failure": trial.reason if trial.state == "failed" else None,
        "failure_kind": trial.failure_kind if trial.state == "failed" else None,
        # Repeated as attributes, since dashboards do not show Optuna's constraints.
        **{f"constraint_{name}": value for name, value in trial.constraints.items()},
    }
    return {
        **trial.candidate_columns,
        "cells": trial.cells,
        "architecture": trial.architecture_json,
        **{name: value for name, value in optional.items() if value is not None},
    }


def outcome_attributes(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group rows into study attributes, one for each seed."""
    rows_by_seed: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["seed"], row["epoch"])):
        rows_by_seed.setdefault(row["seed"], []).append(row)
    return {
        f"{OUTCOME_PREFIX} {seed} epochs {rows[0]['epoch']}-{rows[-1]['epoch']}": rows
        for seed, rows in rows_by_seed.items()
    }


def mean_accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Compute the mean accuracy at each epoch that all started seeds reached."""
    accuracy_by_epoch: dict[int, dict[int, float]] = {}
    for row in rows:
        accuracy_by_epoch.setdefault(row["epoch"], {})[row["seed"]] = row["accuracy"]
    seeds = sorted({row["seed"] for row in rows})
    return {
        epoch: sum(accuracy_by_seed[seed] for seed in seeds) / len(seeds)
        for epoch, accuracy_by_seed in sorted(accuracy_by_epoch.items())
        if len(accuracy_by_seed) == len(seeds)
    }


PLACEHOLDER_ATTRIBUTE = "vacant"
"""Attribute of a trial that only occupies a number (see ``rebuilding``)."""


def read_trials(study: optuna.Study) -> list[SearchTrial]:
    """Read all trials of a study, in order of their numbers.

    Superseded trials are left out. Raises SearchError for a trial that this version did not write.
    """
    with translate_read_errors(study):
        frozen_trials = study.get_trials(deepcopy=False)
    superseded = {frozen_trial.user_attrs.get("supersedes") for frozen_trial in frozen_trials}
    search_trials = [
        _to_search_trial(trial, study)
        for trial in frozen_trials
        if trial.number not in superseded and PLACEHOLDER_ATTRIBUTE not in trial.user_attrs
    ]
    return sorted(search_trials, key=lambda search_trial: search_trial.number)


def trial_records(trials: Iterable[SearchTrial]) -> pd.DataFrame:
    """Return the results table of these trials."""
    return records_frame(_record_rows(trials))


def failure_documents(trials: Iterable[SearchTrial]) -> list[dict[str, Any]]:
    """Return the failed trials and their reasons, as JSON documents."""
    return [
        {
            "trial": trial.number,
            "candidate": trial.candidate,
            "role": trial.candidate_columns["role"],
            "cell": trial.cell,
            "asked_alpha": trial.candidate_columns["asked_alpha"],
            "asked_beta": trial.candidate_columns["asked_beta"],
            "asked_gamma": trial.candidate_columns["asked_gamma"],
            "kind": trial.failure_kind,
            "reason": trial.reason,
        }
        for trial in trials
        if trial.state == "failed"
    ]


def _record_rows(trials: Iterable[SearchTrial]) -> Iterator[dict[str, Any]]:
    for trial in trials:
        trial_columns = {
            "trial": trial.number,
            **trial.candidate_columns,
            "cell": trial.cell,
            "stopped": trial.stopped,
        }
        if trial.tuning is not None:
            trial_columns["tuning_seconds"] = trial.tuning["seconds"]
        for row in trial.rows:
            yield {**trial_columns, **row}


def _to_search_trial(frozen_trial: FrozenTrial, study: optuna.Study) -> SearchTrial:
    attributes = frozen_trial.user_attrs
    states = {optuna_state: own_state for own_state, optuna_state in OPTUNA_STATES.items()}
    if frozen_trial.state not in states or not isinstance(attributes.get("candidate"), str):
        raise SearchError(
            f"{study_location(study)}: trial {frozen_trial.number} was not written by this version "
            "of scalesearch; move the study away and run again: it is rebuilt from records.csv"
        )
    state = states[frozen_trial.state]
    outcomes = {k: rows for k, rows in attributes.items() if k.startswith(OUTCOME_PREFIX)}
    rows = [row for rows in outcomes.values() for row in rows]
    rows.sort(key=lambda row: (row["seed"], row["epoch"]))
    reason_attribute = {"stopped": "stopped", "complete": "stopped", "failed": "failure"}.get(
        state, ""
    )
    return SearchTrial(
        number=attributes.get("trial", frozen_trial.number),
        trial_id=trial_id(frozen_trial),
        candidate_columns={name: attributes[name] for name in CANDIDATE_COLUMNS},
        cells=attributes["cells"],
        architecture_json=attributes["architecture"],
        rows=rows,
        tuning=attributes.get("tuning"),
        state=state,
        reason=attributes.get(reason_attribute, ""),
        failure_kind=attributes.get("failure_kind", "") if state == "failed" else "",
        proposal=attributes.get("proposal"),
        # Optuna stores no intermediate values with several objectives.
        intermediate_values=dict(frozen_trial.intermediate_values)
        if len(study.directions) == 1
        else mean_accuracies(rows),
        constraints=dict(frozen_trial.constraints),
        outcome_names=set(outcomes),
        recorded_epochs={(row["seed"], row["epoch"]) for row in rows},
    )
