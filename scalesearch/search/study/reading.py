"""What a study holds, read once at the start, and its projections."""

from collections.abc import Iterable, Iterator
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from scalesearch.errors import SearchError
from scalesearch.records import records_frame
from scalesearch.search.study.entries import OUTCOME_PREFIX, OPTUNA_STATES, SearchTrial, mean_accuracies
from scalesearch.search.study.opened import translate_read_errors, study_location

CANDIDATE_COLUMNS = (
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
PLACEHOLDER_ATTRIBUTE = "vacant"
"""Attribute of a trial that only keeps a number from being given again (see ``rebuilding``)."""


def read_trials(study: optuna.Study) -> list[SearchTrial]:
    """Every candidate in the study, in order of numbers; reads all trials.

    A trial that another one supersedes is left out. Raises SearchError for a trial that no search
    of this version has written.
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
    """The results table of these entries."""
    return records_frame(_record_rows(trials))


def failure_documents(trials: Iterable[SearchTrial]) -> list[dict[str, Any]]:
    """Candidates that could not be trained, and why."""
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
            f"{study_location(study)}: trial {frozen_trial.number} was not written by this version of scalesearch; "
            "move the study away and run again: it is made again from records.csv"
        )
    state = states[frozen_trial.state]
    outcomes = {k: rows for k, rows in attributes.items() if k.startswith(OUTCOME_PREFIX)}
    rows = [row for rows in outcomes.values() for row in rows]
    rows.sort(key=lambda row: (row["seed"], row["epoch"]))
    reason_attribute = {"stopped": "stopped", "complete": "stopped", "failed": "failure"}.get(state, "")
    return SearchTrial(
        number=attributes.get("trial", frozen_trial.number),
        trial_id=frozen_trial._trial_id,
        candidate_columns={name: attributes[name] for name in CANDIDATE_COLUMNS},
        cells=attributes["cells"],
        architecture_json=attributes["architecture"],
        rows=rows,
        tuning=attributes.get("tuning"),
        state=state,
        reason=attributes.get(reason_attribute, ""),
        failure_kind=attributes.get("failure_kind", "") if state == "failed" else "",
        proposal=attributes.get("proposal"),
        # Optuna keeps no values by epoch where there are several objectives.
        intermediate_values=dict(frozen_trial.intermediate_values) if len(study.directions) == 1 else mean_accuracies(rows),
        constraints=dict(frozen_trial.constraints),
        outcome_names=set(outcomes),
        recorded_epochs={(row["seed"], row["epoch"]) for row in rows},
    )
