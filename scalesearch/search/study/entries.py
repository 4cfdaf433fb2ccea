"""One candidate as the study has it, and the names under which it is written down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import TrialState

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import from_json
from scalesearch.scaling import Shares
from scalesearch.search.plan import Planned

AXES = ("depth_share", "width_share", "resolution_share")
OUTCOME = "seed"
"""How the names of attributes begin that hold what training measured."""

State = Literal["running", "complete", "stopped", "failed"]
STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(slots=True)
class Entry:
    """A candidate as the study has it; what is written through this module is at once in both.

    ``number``: the column ``trial`` of the records, which stays when an entry is opened again.
    ``facts``: what was known before training, by the names of the records. ``rows``: what every
    epoch of every seed measured. ``reported``: the mean over seeds by epoch. ``reason``: why it was
    stopped, failed or, complete, got fewer seeds than others; ``kind``: the class of the failure.
    Both are empty otherwise.
    """

    number: int
    trial_id: int
    facts: dict[str, Any]
    cells: list[dict[str, Any]]
    architecture: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    tuning: dict[str, Any] | None = None
    state: State = "running"
    reason: str = ""
    kind: str = ""
    proposal: dict[str, Any] | None = None
    reported: dict[int, float] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)
    names: set[str] = field(default_factory=set, repr=False)  # of attributes with outcomes
    held: set[tuple[int, int]] = field(default_factory=set, repr=False)  # (seed, epoch) in rows
    _network: Architecture | Foreign | None = field(default=None, repr=False)

    @property
    def candidate(self) -> str:
        """The architecture's fingerprint."""
        return str(self.facts["candidate"])

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
        return Shares(*(self.facts[axis] for axis in AXES))

    @property
    def network(self) -> Architecture | Foreign:
        if self._network is None:
            self._network = from_json(json.loads(self.architecture))
        return self._network

    def recorded(self, seed: int) -> list[dict[str, Any]]:
        """What is written down for a seed, in order of epochs."""
        own = [row for row in self.rows if row["seed"] == seed]
        return sorted(own, key=lambda row: int(row["epoch"]))


def facts_of(planned: Planned) -> dict[str, Any]:
    """What is known of a candidate before it is trained, by the names of the records."""
    candidate, first = planned.candidate, planned.cells[0]
    return {
        "candidate": candidate.fingerprint,
        "role": planned.role,
        "alpha": candidate.multipliers.depth,
        "beta": candidate.multipliers.width,
        "gamma": candidate.multipliers.resolution,
        **dict(zip(AXES, candidate.shares.as_tuple(), strict=True)),
        "resolution": candidate.architecture.resolution,
        "macs": candidate.cost.macs,
        "params": candidate.cost.params,
        "activations": candidate.cost.activations,
        "factor": candidate.factor,
        "asked_alpha": first.asked.alpha,
        "asked_beta": first.asked.beta,
        "asked_gamma": first.asked.gamma,
        "deviation": planned.deviations[first.name],
    }


def cells_of(planned: Planned) -> list[dict[str, Any]]:
    """What was asked for that a candidate stands for."""
    return [
        {
            "name": cell.name,
            "role": cell.role,
            "alpha": cell.asked.alpha,
            "beta": cell.asked.beta,
            "gamma": cell.asked.gamma,
            "deviation": planned.deviations[cell.name],
        }
        for cell in planned.cells
    ]


def attributes_of(entry: Entry) -> dict[str, Any]:
    """What a trial shows beside its outcomes, by plain names."""
    optional = {
        "proposal": entry.proposal,
        "tuning": entry.tuning,
        "stopped": entry.stopped or None,
        "failure": entry.reason if entry.state == "failed" else None,
        "failure_kind": entry.kind if entry.state == "failed" else None,
        # Optuna keeps constraints where dashboards do not show them.
        **{f"constraint_{name}": value for name, value in entry.constraints.items()},
    }
    return {
        **entry.facts,
        "cells": entry.cells,
        "architecture": entry.architecture,
        **{name: value for name, value in optional.items() if value is not None},
    }


def outcomes_of(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows as attributes, one for each seed."""
    of_seed: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["seed"], row["epoch"])):
        of_seed.setdefault(row["seed"], []).append(row)
    return {
        f"{OUTCOME} {seed} epochs {own[0]['epoch']}-{own[-1]['epoch']}": own
        for seed, own in of_seed.items()
    }


def means(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Mean accuracy over seeds, by epoch, of the epochs that every started seed has reached."""
    of_epoch: dict[int, dict[int, float]] = {}
    for row in rows:
        of_epoch.setdefault(row["epoch"], {})[row["seed"]] = row["accuracy"]
    seeds = sorted({row["seed"] for row in rows})
    return {
        epoch: sum(found[seed] for seed in seeds) / len(seeds)
        for epoch, found in sorted(of_epoch.items())
        if len(found) == len(seeds)
    }
