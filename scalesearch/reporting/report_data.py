"""All that a results folder holds about its search, read once."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.summary import CandidateResult, StoppedCandidate, candidate_results
from scalesearch.architectures.cost import Cost, cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.errors import ScaleSearchError, SearchError
from scalesearch.reporting.folder_conclusion import conclusion_of_records
from scalesearch.reporting.proxy_report import ProxyCheck, proxy_check
from scalesearch.reporting.update import read_failures
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records

NUMERIC_COLUMNS = {"start": int, "stop": int, "began": float, "ended": float}
"""Columns of ``jobs.csv`` that are no text."""


@dataclass(frozen=True)
class ReportData:
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
    baseline: Architecture | CustomModel
    baseline_cost: Cost | None
    last_epoch: int
    conclusion: Conclusion
    proxy_check: ProxyCheck
    other_searches: tuple[dict[str, Any], ...]
    replications: tuple[dict[str, Any], ...]

    @cached_property
    def results(self) -> tuple[CandidateResult, ...]:
        """The candidates that were trained to the end, the best mean first."""
        return tuple(candidate_results(self.records, epochs=self.last_epoch))

    @property
    def stopped(self) -> tuple[StoppedCandidate, ...]:
        return self.conclusion.stopped


def read_report_data(folder: str | Path) -> ReportData:
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
    baseline = experiment.baseline.build_architecture(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    audit_document, confirmation_document = (
        _read_json_object(folder / name) for name in ("audit.json", "confirm.json")
    )
    return ReportData(
        name=folder.resolve().name,
        experiment=experiment,
        environment=environment,
        records=records,
        failures=tuple(read_failures(folder)),
        jobs=read_jobs(folder / "jobs.csv"),
        baseline=baseline,
        baseline_cost=_cost_if_allowed(baseline),
        last_epoch=experiment.rungs[-1],
        conclusion=conclusion_of_records(records, experiment, baseline),
        proxy_check=proxy_check(folder),
        other_searches=tuple(audit_document.get("beside", ())),
        replications=(
            *([confirmation_document] if confirmation_document else []),
            *audit_document.get("sensitivity", ()),
        ),
    )


def read_jobs(path: Path) -> pd.DataFrame | None:
    """The log of jobs; None where there is none, or it is torn, which is warned of."""
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False).astype(NUMERIC_COLUMNS)
    except (ValueError, KeyError) as error:  # it is for people only
        warnings.warn(f"{path}: cannot be read: {error}", stacklevel=3)
        return None


def _read_json_object(path: Path) -> dict[str, Any]:
    """What a command wrote; empty where the file is missing or, with a warning, torn."""
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError(f"need a JSON object, got {type(document).__name__}")
    except ValueError as error:
        warnings.warn(f"{path}: cannot be read: {error}", stacklevel=3)
        return {}
    return document


def _cost_if_allowed(network: Architecture | CustomModel) -> Cost | None:
    try:
        return cost(network)
    except ScaleSearchError:  # code that may not be run, whose cost the rest does not need
        return None
