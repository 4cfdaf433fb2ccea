"""All that a results folder holds about its search, read once."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.answer import Result, Stopped, summary
from scalesearch.analysis.conclusion import Conclusion
from scalesearch.architectures import Architecture, Cost, Foreign, cost
from scalesearch.environment import read_environment
from scalesearch.errors import ScaleSearchError, SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.records import read_records
from scalesearch.report.audit import Audit, audit
from scalesearch.report.concluded import of_experiment
from scalesearch.report.results import read_failures

NUMBERS = {"start": int, "stop": int, "began": float, "ended": float}
"""Columns of ``jobs.csv`` that are no text."""


@dataclass(frozen=True)
class Facts:
    """``name``: the folder's. ``jobs``: as they were logged; None where nobody has.
    ``baseline_cost``: None where its code may not be run. ``epoch``: the last of the search.
    ``beside``: rank agreement with other searches, where an audit has compared them.
    ``repeated``: what the best were trained again for, each with its ``candidates`` and what it
    came to: the confirmation, and other learning rates.
    """

    name: str
    experiment: Experiment
    environment: dict[str, Any]
    records: pd.DataFrame
    failures: tuple[dict[str, Any], ...]
    jobs: pd.DataFrame | None
    baseline: Architecture | Foreign
    baseline_cost: Cost | None
    epoch: int
    conclusion: Conclusion
    audit: Audit
    beside: tuple[dict[str, Any], ...]
    repeated: tuple[dict[str, Any], ...]

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The candidates that were trained to the end, the best mean first."""
        return tuple(summary(self.records, epochs=self.epoch))

    @property
    def stopped(self) -> tuple[Stopped, ...]:
        return self.conclusion.stopped


def read_facts(folder: str | Path) -> Facts:
    """Of a folder with ``experiment.yaml``, ``environment.json`` and ``records.csv`` at least.

    Raises SearchError where one of these is missing or wrong, or no candidate has the last epoch.
    """
    folder = Path(folder)
    experiment = read_experiment(folder / "experiment.yaml")
    if experiment.search.sampler == "points":
        raise SearchError(
            f"{folder}: need a search over one budget to report on, got points listed one by one; "
            f"`scalesearch status {folder}` tells how each did"
        )
    records = read_records(folder / "records.csv")
    environment = read_environment(folder / "environment.json")
    data = environment["data"]
    baseline = experiment.baseline.build(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    written, longer = (_document(folder / name) for name in ("audit.json", "confirm.json"))
    return Facts(
        name=folder.resolve().name,
        experiment=experiment,
        environment=environment,
        records=records,
        failures=tuple(read_failures(folder)),
        jobs=read_jobs(folder / "jobs.csv"),
        baseline=baseline,
        baseline_cost=_cost(baseline),
        epoch=experiment.rungs[-1],
        conclusion=of_experiment(records, experiment, baseline),
        audit=audit(folder),
        beside=tuple(written.get("beside", ())),
        repeated=(*([longer] if longer else []), *written.get("sensitivity", ())),
    )


def read_jobs(path: Path) -> pd.DataFrame | None:
    """The log of jobs; None where there is none, or it is torn, which is warned of."""
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False).astype(NUMBERS)
    except (ValueError, KeyError) as error:  # it is for people only
        warnings.warn(f"{path}: cannot be read: {error}", stacklevel=3)
        return None


def _document(path: Path) -> dict[str, Any]:
    """What a command wrote; empty where the file is missing or, with a warning, torn."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"need a JSON object, got {type(found).__name__}")
    except ValueError as error:
        warnings.warn(f"{path}: cannot be read: {error}", stacklevel=3)
        return {}
    return found


def _cost(network: Architecture | Foreign) -> Cost | None:
    try:
        return cost(network)
    except ScaleSearchError:  # code that may not be run, whose cost the rest does not need
        return None
