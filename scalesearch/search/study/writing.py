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

from scalesearch.architectures.budget import Budget
from scalesearch.architectures.fingerprint import to_json
from scalesearch.errors import SearchError
from scalesearch.search.plan import Planned
from scalesearch.search.study.entries import (
    AXES,
    OUTCOME,
    STATES,
    Entry,
    State,
    attributes_of,
    cells_of,
    facts_of,
    means,
    outcomes_of,
)
from scalesearch.search.study.opened import place, storing

SHARES: dict[str, optuna.distributions.BaseDistribution] = {
    axis: optuna.distributions.FloatDistribution(0.0, 1.0) for axis in AXES
}


def enter(
    study: optuna.Study,
    planned: Planned,
    proposal: Mapping[str, Any] | None = None,
    *,
    budget: Budget | None = None,
) -> Entry:
    """Enter a candidate as a running trial, whole or not at all.

    ``proposal``: how a sampler came to it, for replay. ``budget``: what the candidate had to keep
    to, for the constraint ``budget`` (kept where it is at most 0).
    """
    factor = planned.candidate.factor
    entry = Entry(
        number=-1,
        trial_id=-1,
        facts=facts_of(planned),
        cells=cells_of(planned),
        architecture=json.dumps(to_json(planned.candidate.architecture), separators=(",", ":")),
        proposal=dict(proposal) if proposal is not None else None,
        constraints={}
        if budget is None
        else {"budget": abs(factor / budget.factor - 1) - budget.tolerance},
    )
    return entered(study, entry)


def entered(
    study: optuna.Study,
    entry: Entry,
    *,
    values: Sequence[float] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Entry:
    """Make the trial of an entry that has none yet, with everything it holds, in one transaction.

    Its state is the entry's. ``values``: of a complete one. ``extra``: more attributes.
    """
    outcomes = outcomes_of(entry.rows)
    if entry.state == "stopped":
        values = _value_when_stopped(study, entry)
    template = create_trial(
        state=STATES[entry.state],
        values=values,
        # Shares outside the simplex (an axis that moves against the budget) show as its edge.
        params={axis: min(max(entry.facts[axis], 0.0), 1.0) for axis in AXES},
        distributions=SHARES,
        user_attrs={**attributes_of(entry), **outcomes, **(extra or {})},
        intermediate_values=entry.reported if len(study.directions) == 1 else {},
        constraints=entry.constraints,
    )
    with storing(study):
        entry.trial_id = study._storage.create_new_trial(study._study_id, template)
        if entry.number < 0:
            entry.number = study._storage.get_trial_number_from_id(entry.trial_id)
    entry.names = set(outcomes)
    entry.held = {(row["seed"], row["epoch"]) for row in entry.rows}
    return entry


def record(
    study: optuna.Study, entry: Entry, rows: Sequence[Mapping[str, Any]], *, job: str
) -> list[dict[str, Any]]:
    """Write down what an outcome's epochs measured, all of them or none.

    ``job``: the attribute's name, ``seed 0 epochs 1-3``. Returns the rows that were not taken: of
    a seed and epoch on record already, or all where the entry has ended.
    """
    if not job.startswith(OUTCOME):
        raise ValueError(f"need a name that begins with {OUTCOME!r}, got {job!r}")
    new: dict[tuple[int, int], dict[str, Any]] = {}
    repeated: list[dict[str, Any]] = []
    for row in map(dict, rows):
        key = (row["seed"], row["epoch"])
        if entry.state != "running" or key in entry.held or key in new:
            repeated.append(row)
        else:
            new[key] = row
    if new:
        name = _free(job, entry.names)
        with storing(study):
            study._storage.set_trial_user_attr(entry.trial_id, name, list(new.values()))
        entry.names.add(name)
        entry.held.update(new)
        entry.rows.extend(new.values())
    return repeated


def report(study: optuna.Study, entry: Entry, epoch: int, mean: float) -> None:
    """Tell an epoch's mean over seeds, once more where further seeds have changed it.

    With several objectives it is only kept in the entry: Optuna knows no such values there.
    """
    if entry.reported.get(epoch) == mean:
        return
    if len(study.directions) == 1:
        with storing(study):
            study._storage.set_trial_intermediate_value(entry.trial_id, epoch, mean)
    entry.reported[epoch] = mean


def set_tuning(study: optuna.Study, entry: Entry, tuning: Mapping[str, Any]) -> None:
    """Write down what the candidate's learning-rate sweep found and cost."""
    with storing(study):
        study._storage.set_trial_user_attr(entry.trial_id, "tuning", dict(tuning))
    entry.tuning = dict(tuning)


def tell_complete(
    study: optuna.Study, entry: Entry, values: Sequence[float], *, reason: str = ""
) -> None:
    """End an entry with its values, one for each objective.

    ``reason``: why it got fewer seeds than others.
    """
    if len(values) != len(study.directions) or any(map(math.isnan, values)):
        raise ValueError(f"need {len(study.directions)} values that are numbers, got {values}")
    if reason:
        with storing(study):
            study._storage.set_trial_user_attr(entry.trial_id, "stopped", reason)
    _tell(study, entry, "complete", values)
    entry.reason = reason


def tell_stopped(study: optuna.Study, entry: Entry, reason: str) -> None:
    """End an entry that is trained no further.

    Its value is the mean at the last epoch that all its seeds have reached, where there is one
    objective and such an epoch.
    """
    with storing(study):
        study._storage.set_trial_user_attr(entry.trial_id, "stopped", reason)
    _tell(study, entry, "stopped", _value_when_stopped(study, entry))
    entry.reason = reason


def tell_failed(study: optuna.Study, entry: Entry, kind: str, reason: str) -> None:
    """End an entry that cannot be trained, and say why."""
    with storing(study):
        study._storage.set_trial_user_attr(entry.trial_id, "failure", reason)
        study._storage.set_trial_user_attr(entry.trial_id, "failure_kind", kind)
    _tell(study, entry, "failed", None)
    entry.kind, entry.reason = kind, reason


def reopen(
    study: optuna.Study, entry: Entry, rows: Sequence[Mapping[str, Any]] | None = None
) -> Entry:
    """A running entry that takes the place of an ended one, to retry or to extend it.

    Optuna's ended trials cannot be changed, so it is a new trial; the attribute ``supersedes``
    names the old one, which ``contents`` then leaves out. ``rows``: what of the old one's is taken
    over, by default all; with fewer, its means are to be reported again.
    """
    kept = [dict(row) for row in (entry.rows if rows is None else rows)]
    kept.sort(key=lambda row: (row["seed"], row["epoch"]))
    again = Entry(
        number=entry.number,
        trial_id=-1,
        facts=entry.facts,
        cells=entry.cells,
        architecture=entry.architecture,
        rows=kept,
        tuning=entry.tuning,
        proposal=entry.proposal,
        reported=dict(entry.reported) if len(kept) == len(entry.rows) else {},
        constraints=entry.constraints,
    )
    old = study._storage.get_trial_number_from_id(entry.trial_id)
    return entered(study, again, extra={"supersedes": old, "trial": entry.number})


def _value_when_stopped(study: optuna.Study, entry: Entry) -> list[float] | None:
    """As Optuna does for a pruned trial: its last mean."""
    found = means(entry.rows)
    return [found[max(found)]] if found and len(study.directions) == 1 else None


def _free(name: str, taken: set[str]) -> str:
    """A name that no other outcome of the entry has, so that none is written over."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name} ({count})"
    return free


def _tell(study: optuna.Study, entry: Entry, state: State, values: Sequence[float] | None) -> None:
    if entry.state != "running":
        raise ValueError(f"trial {entry.number}: is {entry.state}, and ends once")
    with storing(study):
        told = study._storage.set_trial_state_values(entry.trial_id, STATES[state], values)
    if not told:
        raise SearchError(f"{place(study)}: trial {entry.number} was not ended; run again")
    entry.state = state
