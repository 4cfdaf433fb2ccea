"""The study as the only ledger of a search.

One Optuna trial is one candidate. Its parameters are the effective shares of what is trained; the
attribute ``candidate`` tells what was known before training, and one attribute for each seed and
epoch what training measured. Records are a projection of this and can be made again from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import sqlalchemy.exc
from optuna.trial import FrozenTrial, Trial, TrialState

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import from_json, to_json
from scalesearch.errors import SearchError
from scalesearch.records import table
from scalesearch.scaling import Shares
from scalesearch.search.plan import Planned

AXES = ("depth_share", "width_share", "resolution_share")
SHARES: dict[str, optuna.distributions.BaseDistribution] = {
    axis: optuna.distributions.FloatDistribution(0.0, 1.0) for axis in AXES
}


def open_study(path: Path, name: str) -> optuna.Study:
    """Open the study kept in a SQLite file, or make it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path}", study_name=name, direction="maximize", load_if_exists=True
        )
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise SearchError(f"{path}: cannot be opened as a study: {error}") from error


def enter(study: optuna.Study, planned: Planned) -> FrozenTrial:
    """Enter a candidate as a running trial, whole or not at all."""
    shares = planned.candidate.shares.as_tuple()
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING,
        # Shares outside the simplex (an axis that moves against the budget) show as its edge.
        params={axis: min(max(s, 0.0), 1.0) for axis, s in zip(AXES, shares, strict=True)},
        distributions=SHARES,
        user_attrs={
            "candidate": _facts(planned),
            "cells": _cells(planned),
            "architecture": to_json(planned.candidate.architecture),
        },
    )
    study.add_trial(template)
    return study.get_trials(deepcopy=False)[-1]


def record(study: optuna.Study, trial: FrozenTrial, row: Mapping[str, Any]) -> None:
    """Write down what one epoch of one seed measured."""
    key = _key(row["seed"], row["epoch"])
    Trial(study, trial._trial_id).set_user_attr(key, dict(row))


def set_tuning(study: optuna.Study, trial: FrozenTrial, tuning: Mapping[str, Any]) -> None:
    """Write down what a trial's learning-rate sweep found and cost."""
    Trial(study, trial._trial_id).set_user_attr("tuning", dict(tuning))


def tuning_of(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any] | None:
    """What ``set_tuning`` wrote down for a trial, or None."""
    tuning: dict[str, Any] | None = trials(study)[trial.number].user_attrs.get("tuning")
    return tuning


def micro_batch(study: optuna.Study, found: Callable[[], int | None]) -> int | None:
    """The study's one micro-batch: what is on record, else what is found now and written down."""
    if "micro_batch" not in study.user_attrs:
        study.set_user_attr("micro_batch", found())
    size: int | None = study.user_attrs["micro_batch"]
    return size


def recorded(trial: FrozenTrial, seed: int) -> list[dict[str, Any]]:
    """What is written down for a seed, from its first epoch on."""
    rows: list[dict[str, Any]] = []
    while row := trial.user_attrs.get(_key(seed, len(rows) + 1)):
        rows.append(row)
    return rows


def close(study: optuna.Study, number: int, seeds: Sequence[int]) -> None:
    """Report every epoch's mean over seeds, and complete the trial with the last one's."""
    trial = trials(study)[number]
    live = Trial(study, trial._trial_id)
    runs = [[row["accuracy"] for row in recorded(trial, seed)] for seed in seeds]
    means = [sum(accuracies) / len(accuracies) for accuracies in zip(*runs, strict=True)]
    for epoch, mean in enumerate(means, start=1):
        if epoch not in trial.intermediate_values:
            live.report(mean, epoch)
    study.tell(number, means[-1])


def fail(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
    """End a trial that cannot be trained, and say why."""
    Trial(study, trial._trial_id).set_user_attr("failure", reason)
    study.tell(trial.number, state=TrialState.FAIL)


def failures(study: optuna.Study) -> list[dict[str, Any]]:
    """Candidates that could not be trained, and why."""
    return [
        {
            "candidate": trial.user_attrs["candidate"]["candidate"],
            "role": trial.user_attrs["candidate"]["role"],
            "reason": trial.user_attrs["failure"],
        }
        for trial in trials(study)
        if "failure" in trial.user_attrs
    ]


def trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials, in the order in which they were entered."""
    return study.get_trials(deepcopy=False)


def history(study: optuna.Study) -> list[tuple[Shares, float]]:
    """What samplers learn from: effective shares and value of every completed trial."""
    return [
        (shares_of(trial), trial.value)
        for trial in trials(study)
        if trial.state == TrialState.COMPLETE and trial.value is not None
    ]


def shares_of(trial: FrozenTrial) -> Shares:
    """Effective shares of a trial's candidate."""
    return Shares(*(trial.user_attrs["candidate"][axis] for axis in AXES))


def architecture_of(trial: FrozenTrial) -> Architecture | Foreign:
    """The network of a trial."""
    return from_json(trial.user_attrs["architecture"])


def cells_of(trial: FrozenTrial) -> set[str]:
    """Names of the cells that a trial stands for."""
    return {cell["name"] for cell in trial.user_attrs["cells"]}


def records(study: optuna.Study) -> pd.DataFrame:
    """The results table, from the ledger."""
    return table(_rows(study))


def _rows(study: optuna.Study) -> Iterator[dict[str, Any]]:
    for trial in trials(study):
        facts = {"trial": trial.number, **trial.user_attrs["candidate"]}
        for name, value in trial.user_attrs.items():
            if name.startswith("seed "):
                yield {**facts, **value}


def _key(seed: int, epoch: int) -> str:
    return f"seed {seed} epoch {epoch}"


def _facts(planned: Planned) -> dict[str, Any]:
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


def _cells(planned: Planned) -> list[dict[str, Any]]:
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
