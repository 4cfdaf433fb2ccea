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
from scalesearch.architectures.isocost import Candidate
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.records import COLUMNS
from scalesearch.scaling import Coefficients
from scalesearch.search.plan import Cell, Planned, Space
from scalesearch.search.study.entries import Entry, State, cells_of, facts_of, means
from scalesearch.search.study.opened import loading, place, storing
from scalesearch.search.study.reading import FACTS, VACANT, contents
from scalesearch.search.study.writing import entered

MEASURED = [name for name in COLUMNS if name not in ("trial", "cell", "stopped", *FACTS)]
BEGUN = "rebuilding"
"""Attribute of a study that is not yet made again as a whole."""
SEARCHED = "searched"
_Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the experiment says about candidates."""

    experiment: Experiment
    where: Space
    planned: Sequence[Planned]
    candidates: Mapping[str, Candidate]
    cells: Mapping[str, Cell]


def must_be_rebuilt(study: optuna.Study) -> bool:
    """Whether a study is empty, or was not made again to its end."""
    if BEGUN in study.user_attrs:
        return bool(study.user_attrs[BEGUN])
    with loading(study):
        return study._storage.get_n_trials(study._study_id) == 0


def rebuilt(
    study: optuna.Study,
    records: pd.DataFrame,
    experiment: Experiment,
    where: Space,
    planned: Sequence[Planned],
    failed: Sequence[Mapping[str, Any]] = (),
    proposals: Sequence[Mapping[str, Any]] = (),
) -> list[Entry]:
    """Enter what a search's table knows into its empty study, and return what is then in it.

    ``where``, ``planned``: the experiment's candidates and plan. ``failed``: what ``failures``
    wrote down. ``proposals``: how proposals came about, each with its ``number``. Where this is
    interrupted, calling it again brings it to its end. Raises SearchError where the study holds
    another search, or a candidate is none of the experiment's.
    """
    if not must_be_rebuilt(study):
        raise SearchError(
            f"{place(study)}: need an empty study to enter records into, got one with trials"
        )
    plans = [*planned]
    known = _Known(
        experiment,
        where,
        plans,
        {c.fingerprint: c for c in (*where.candidates, *(item.candidate for item in plans))},
        {cell.name: cell for item in plans for cell in item.cells},
    )
    entries = dict(_entries(records, failed, known))
    logs = {f"proposal {log['number']}": dict(log) for log in proposals}
    for found in entries.values():
        found.proposal = logs.get(found.cells[0]["name"])
    with storing(study):
        study.set_user_attr(BEGUN, True)
        done = study._storage.get_n_trials(study._study_id)
    for number in range(done, max(entries, default=-1) + 1):
        if (entry := entries.get(number)) is None:
            _keep_vacant(study)
        else:
            values = _values(entry, experiment) if entry.state == "complete" else None
            entered(study, entry, values=values)
    with storing(study):
        if (size := _micro_batch(records, experiment)) is not None:
            study.set_user_attr("micro_batch", size[0])
        study.set_user_attr(BEGUN, False)
    return contents(study)


def _entries(
    records: pd.DataFrame, failed: Sequence[Mapping[str, Any]], known: _Known
) -> Iterator[tuple[int, Entry]]:
    """Every candidate that had ended, with its number."""
    tables = _tables(records)
    numbers = _numbers(failed, tables)
    for number, own in tables.items():
        first = own[0]
        candidate = _candidate(first, known)
        cells = _cells(number, first, candidate, known)
        rows = [{name: row[name] for name in MEASURED if not _missing(row[name])} for row in own]
        failure = numbers.pop(number, None)
        reason = str(first["stopped"])
        state = "failed" if failure else _state(rows, reason, known.experiment)
        if state is None:
            continue
        facts = {name: first[name] for name in FACTS}
        entry = _entry(number, candidate, cells, facts, known)
        entry.rows, entry.reported, entry.state = rows, means(rows), state
        entry.tuning = _tuning(first, known.experiment)
        entry.reason, entry.kind = _why(failure) if failure else (reason, "")
        yield number, entry
    for number, failure in numbers.items():
        candidate = _candidate(failure, known)
        cells = _cells(number, failure, candidate, known)
        facts = facts_of(Planned(candidate, tuple(cells))) | {"role": failure["role"]}
        entry = _entry(number, candidate, cells, facts, known)
        entry.state, (entry.reason, entry.kind) = "failed", _why(failure)
        yield number, entry


def _tables(records: pd.DataFrame) -> dict[int, list[_Row]]:
    """Each trial's rows. Raises SearchError where a number is not one candidate's, and its only."""
    pairs = records[["trial", "candidate"]].drop_duplicates()
    if pairs["trial"].duplicated().any() or pairs["candidate"].duplicated().any():
        raise SearchError("records: need one candidate for each trial, got several for one")
    tables: dict[int, list[_Row]] = {}
    for row in records.to_dict("records"):
        tables.setdefault(row["trial"], []).append({str(name): row[name] for name in row})
    return tables


def _numbers(
    failed: Sequence[Mapping[str, Any]], tables: Mapping[int, Sequence[_Row]]
) -> dict[int, Mapping[str, Any]]:
    """Failures by their trial's number; where none was written down, they fill the gaps."""
    of_candidate = {own[0]["candidate"]: number for number, own in tables.items()}
    found: dict[int, Mapping[str, Any]] = {}
    for failure in failed:
        taken = {**tables, **found}
        number = of_candidate.get(failure["candidate"], failure.get("trial"))
        if number is None or (number in taken and failure["candidate"] not in of_candidate):
            number = next(free for free in range(len(taken) + 1) if free not in taken)
        found[number] = failure
    return found


def _candidate(about: Mapping[str, Any], known: _Known) -> Candidate:
    name = str(about["candidate"])
    if name in known.candidates:
        return known.candidates[name]
    if "asked_alpha" in about:  # of a nominal budget only a mesh of candidates is listed
        found = known.where.candidate(_asked(about))
        if found is not None and found.fingerprint == name:
            return found
    raise SearchError(
        f"records: candidate {name} ({about['role']}) is none of this experiment's; need the "
        "records and the experiment.yaml of one search, and a version that counts as theirs did"
    )


def _cells(
    number: int, about: Mapping[str, Any], candidate: Candidate, known: _Known
) -> list[Cell]:
    """The cells of a candidate: by name, or for tables without names from the plan."""
    names = [name for name in str(about.get("cell", "")).split("; ") if name]
    if not names:
        for item in known.planned:
            if item.candidate.fingerprint == candidate.fingerprint:
                return list(item.cells)
        names = [f"proposal {number - len(known.planned)}"]  # they come one by one after the plan
    asked = candidate.shares.coefficients(known.where.budget.factor)
    if "asked_alpha" in about:
        asked = _asked(about)
    return [known.cells.get(name, Cell(name, SEARCHED, asked)) for name in names]


def _asked(about: Mapping[str, Any]) -> Coefficients:
    return Coefficients(about["asked_alpha"], about["asked_beta"], about["asked_gamma"])


def _state(rows: Sequence[Mapping[str, Any]], reason: str, experiment: Experiment) -> State | None:
    """How a candidate ended; None where it had not."""
    epochs: dict[int, list[int]] = {}
    for row in rows:
        epochs.setdefault(row["seed"], []).append(row["epoch"])
    last = experiment.rungs[-1]
    if any(sorted(own) != list(range(1, len(own) + 1)) for own in epochs.values()):
        return None
    at_end = all(len(own) >= last for own in epochs.values())
    if at_end and (reason or set(epochs) >= set(experiment.seeds)):
        return "complete"
    return "stopped" if reason else None


def _entry(
    number: int,
    candidate: Candidate,
    cells: Sequence[Cell],
    facts: dict[str, Any],
    known: _Known,
) -> Entry:
    budget = known.where.budget
    return Entry(
        number=number,
        trial_id=-1,
        facts=facts,
        cells=cells_of(Planned(candidate, tuple(cells))),
        architecture=json.dumps(to_json(candidate.architecture), separators=(",", ":")),
        constraints={"budget": abs(facts["factor"] / budget.factor - 1) - budget.tolerance},
    )


def _why(failure: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and class; version 0.1 wrote them as one."""
    if "kind" in failure:
        return str(failure["reason"]), str(failure["kind"])
    kind, _, reason = str(failure["reason"]).partition(": ")
    return reason, kind


def _tuning(row: Mapping[str, Any], experiment: Experiment) -> dict[str, Any] | None:
    """What is left on record of a sweep: the rate it found, and what it took."""
    if experiment.recipe.learning_rate_rule != "tuned" or _missing(row["learning_rate"]):
        return None
    return {"learning_rate": row["learning_rate"], "seconds": row["tuning_seconds"]}


def _micro_batch(records: pd.DataFrame, experiment: Experiment) -> tuple[int | None] | None:
    """The study's micro-batch, in a tuple as it may be None, where the table tells it."""
    sizes = records["micro_batch"].dropna().unique()
    if len(sizes) != 1:
        return None
    recipe = experiment.recipe
    whole = sizes[0] == (recipe.micro_batch or recipe.batch_size)
    return (recipe.micro_batch if whole else int(sizes[0]),)


def _values(entry: Entry, experiment: Experiment) -> list[float]:
    cost = experiment.search.against
    value = entry.reported[max(entry.reported)]
    return [value, *([float(entry.facts[cost])] if cost else [])]


def _keep_vacant(study: optuna.Study) -> None:
    why = "nothing that had ended has this number"
    template = create_trial(state=TrialState.FAIL, user_attrs={VACANT: why})
    with storing(study):
        study._storage.create_new_trial(study._study_id, template)


def _missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
