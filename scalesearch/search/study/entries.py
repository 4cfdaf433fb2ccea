"""One candidate as the study has it, and the names under which it is written down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import TrialState

from scalesearch.architectures import Architecture, CustomModel
from scalesearch.architectures.fingerprint import from_json
from scalesearch.scaling import Shares
from scalesearch.search.plan import PlannedTrial

SHARE_COLUMNS = ("depth_share", "width_share", "resolution_share")
OUTCOME_PREFIX = "seed"
"""How the names of attributes begin that hold what training measured."""

SearchTrialState = Literal["running", "complete", "stopped", "failed"]
OPTUNA_STATES: dict[SearchTrialState, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(slots=True)
class SearchTrial:
    """A candidate as the study has it; what is written through this module is at once in both.

    ``number``: the column ``trial`` of the records, which stays when an entry is opened again.
    ``facts``: what was known before training, by the names of the records. ``rows``: what every
    epoch of every seed measured. ``reported``: the mean over seeds by epoch. ``reason``: why it was
    stopped, failed or, complete, got fewer seeds than others; ``kind``: the class of the failure.
    Both are empty otherwise.
    """

    number: int
    trial_id: int
    candidate_columns: dict[str, Any]
    cells: list[dict[str, Any]]
    architecture_json: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    tuning: dict[str, Any] | None = None
    state: SearchTrialState = "running"
    reason: str = ""
    failure_kind: str = ""
    proposal: dict[str, Any] | None = None
    intermediate_values: dict[int, float] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)
    outcome_names: set[str] = field(default_factory=set, repr=False)  # of attributes with outcomes
    recorded_epochs: set[tuple[int, int]] = field(default_factory=set, repr=False)  # (seed, epoch) in rows
    _network: Architecture | CustomModel | None = field(default=None, repr=False)

    @property
    def candidate(self) -> str:
        """The architecture's fingerprint."""
        return str(self.candidate_columns["candidate"])

    @property
    def cell(self) -> str:
        """Names of the cells that it stands for, the column of the records."""
        return "; ".join(cell["name"] for cell in self.cells)

    @property
    def stopped(self) -> str:
        """Why it was trained no further, the column of the records."""
        return self.reason if self.state in ("stopped", "complete") else ""

    @property
    def shares(self) -> Shares:
        """Effective shares."""
        return Shares(*(self.candidate_columns[axis] for axis in SHARE_COLUMNS))

    @property
    def network(self) -> Architecture | CustomModel:
        if self._network is None:
            self._network = from_json(json.loads(self.architecture_json))
        return self._network

    def rows_of_seed(self, seed: int) -> list[dict[str, Any]]:
        """What is written down for a seed, in order of epochs."""
        seed_rows = [row for row in self.rows if row["seed"] == seed]
        return sorted(seed_rows, key=lambda row: int(row["epoch"]))


def candidate_columns(planned_trial: PlannedTrial) -> dict[str, Any]:
    """What is known of a candidate before it is trained, by the names of the records."""
    candidate, first_cell = planned_trial.candidate, planned_trial.cells[0]
    return {
        "candidate": candidate.fingerprint,
        "role": planned_trial.role,
        "alpha": candidate.multipliers.depth,
        "beta": candidate.multipliers.width,
        "gamma": candidate.multipliers.resolution,
        **dict(zip(SHARE_COLUMNS, candidate.shares.as_tuple(), strict=True)),
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
    """What was asked for that a candidate stands for."""
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


def trial_attributes(trial: SearchTrial) -> dict[str, Any]:
    """What a trial shows beside its outcomes, by plain names."""
    optional = {
        "proposal": trial.proposal,
        "tuning": trial.tuning,
        "stopped": trial.stopped or None,
        "failure": trial.reason if trial.state == "failed" else None,
        "failure_kind": trial.failure_kind if trial.state == "failed" else None,
        # Optuna keeps constraints where dashboards do not show them.
        **{f"constraint_{name}": value for name, value in trial.constraints.items()},
    }
    return {
        **trial.candidate_columns,
        "cells": trial.cells,
        "architecture": trial.architecture_json,
        **{name: value for name, value in optional.items() if value is not None},
    }


def outcome_attributes(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows as attributes, one for each seed."""
    rows_by_seed: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["seed"], row["epoch"])):
        rows_by_seed.setdefault(row["seed"], []).append(row)
    return {
        f"{OUTCOME_PREFIX} {seed} epochs {seed_rows[0]['epoch']}-{seed_rows[-1]['epoch']}": seed_rows
        for seed, seed_rows in rows_by_seed.items()
    }


def mean_accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Mean accuracy over seeds, by epoch, of the epochs that every started seed has reached."""
    accuracy_by_epoch: dict[int, dict[int, float]] = {}
    for row in rows:
        accuracy_by_epoch.setdefault(row["epoch"], {})[row["seed"]] = row["accuracy"]
    seeds = sorted({row["seed"] for row in rows})
    return {
        epoch: sum(accuracy_by_seed[seed] for seed in seeds) / len(seeds)
        for epoch, accuracy_by_seed in sorted(accuracy_by_epoch.items())
        if len(accuracy_by_seed) == len(seeds)
    }
