"""What a study holds, read once at the start, and its projections."""

from collections.abc import Iterable, Iterator
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from scalesearch.errors import SearchError
from scalesearch.records import table
from scalesearch.search.study.entries import OUTCOME, STATES, Entry, means
from scalesearch.search.study.opened import loading, place

FACTS = (
    "candidate",
    "role",
    "alpha",
    "beta",
    "gamma",
    "depth_share",
    "width_share",
    "resolution_share",
    "resolution",
    "macs",
    "params",
    "activations",
    "factor",
    "asked_alpha",
    "asked_beta",
    "asked_gamma",
    "deviation",
)
VACANT = "vacant"
"""Attribute of a trial that only keeps a number from being given again (see ``rebuilding``)."""


def contents(study: optuna.Study) -> list[Entry]:
    """Every candidate in the study, in order of numbers; reads all trials.

    A trial that another one supersedes is left out. Raises SearchError for a trial that no search
    of this version has written.
    """
    with loading(study):
        trials = study.get_trials(deepcopy=False)
    superseded = {trial.user_attrs.get("supersedes") for trial in trials}
    entries = [
        _entry(trial, study)
        for trial in trials
        if trial.number not in superseded and VACANT not in trial.user_attrs
    ]
    return sorted(entries, key=lambda entry: entry.number)


def records(entries: Iterable[Entry]) -> pd.DataFrame:
    """The results table of these entries."""
    return table(_rows(entries))


def failures(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Candidates that could not be trained, and why."""
    return [
        {
            "trial": entry.number,
            "candidate": entry.candidate,
            "role": entry.facts["role"],
            "cell": entry.cell,
            "asked_alpha": entry.facts["asked_alpha"],
            "asked_beta": entry.facts["asked_beta"],
            "asked_gamma": entry.facts["asked_gamma"],
            "kind": entry.kind,
            "reason": entry.reason,
        }
        for entry in entries
        if entry.state == "failed"
    ]


def _rows(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        about = {
            "trial": entry.number,
            **entry.facts,
            "cell": entry.cell,
            "stopped": entry.stopped,
        }
        if entry.tuning is not None:
            about["tuning_seconds"] = entry.tuning["seconds"]
        for row in entry.rows:
            yield {**about, **row}


def _entry(trial: FrozenTrial, study: optuna.Study) -> Entry:
    attributes = trial.user_attrs
    states = {theirs: ours for ours, theirs in STATES.items()}
    if trial.state not in states or not isinstance(attributes.get("candidate"), str):
        raise SearchError(
            f"{place(study)}: trial {trial.number} was not written by this version of scalesearch; "
            "move the study away and run again: it is made again from records.csv"
        )
    state = states[trial.state]
    outcomes = {k: rows for k, rows in attributes.items() if k.startswith(OUTCOME)}
    rows = [row for rows in outcomes.values() for row in rows]
    rows.sort(key=lambda row: (row["seed"], row["epoch"]))
    why = {"stopped": "stopped", "complete": "stopped", "failed": "failure"}.get(state, "")
    return Entry(
        number=attributes.get("trial", trial.number),
        trial_id=trial._trial_id,
        facts={name: attributes[name] for name in FACTS},
        cells=attributes["cells"],
        architecture=attributes["architecture"],
        rows=rows,
        tuning=attributes.get("tuning"),
        state=state,
        reason=attributes.get(why, ""),
        kind=attributes.get("failure_kind", "") if state == "failed" else "",
        proposal=attributes.get("proposal"),
        # Optuna keeps no values by epoch where there are several objectives.
        reported=dict(trial.intermediate_values) if len(study.directions) == 1 else means(rows),
        constraints=dict(trial.constraints),
        names=set(outcomes),
        held={(row["seed"], row["epoch"]) for row in rows},
    )
