"""Everything that the report page shows, read from a search's folder."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.summary import CandidateResult, candidate_results
from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.architectures.totals import Cost
from scalesearch.config.experiment import Experiment
from scalesearch.errors import ScaleSearchError
from scalesearch.reporting.folder_conclusion import conclusion_of_records
from scalesearch.reporting.proxy_report import ProxyCheck, proxy_check
from scalesearch.results.search_folder import FolderLike, SearchFolder


@dataclass(frozen=True)
class ReportData:
    """Contents of a search's folder, and the analyses of its records."""

    name: str
    """Name of the folder."""
    experiment: Experiment
    environment: dict[str, Any]
    records: pd.DataFrame
    failures: tuple[dict[str, Any], ...]
    jobs: pd.DataFrame | None
    """The log of jobs; None if there is none."""
    baseline: Architecture | CustomModel
    baseline_cost: Cost | None
    """None if the baseline is code that may not be run."""
    last_epoch: int
    """Epochs at the last rung."""
    conclusion: Conclusion
    proxy_check: ProxyCheck
    other_searches: tuple[dict[str, Any], ...]
    """Rank correlations with other searches, from ``audit.json``."""
    replications: tuple[dict[str, Any], ...]
    """The confirmation and replications with other learning rates, as JSON values."""

    @cached_property
    def results(self) -> tuple[CandidateResult, ...]:
        """The candidates that were trained to the last rung, the best mean first."""
        return tuple(candidate_results(self.records, epochs=self.last_epoch))


def read_report_data(folder: FolderLike) -> ReportData:
    """Read the folder of a search.

    Needs ``experiment.yaml``, ``environment.json`` and ``records.csv``. Raises SearchError if one
    of them is missing or wrong, or if no candidate has the last epoch.
    """
    search = SearchFolder.from_path(folder)
    search.require_one_budget("to report on")
    experiment, records = search.experiment, search.records
    environment, baseline = search.environment, search.baseline
    audit_document, confirmation_document = (
        _read_json_object(search.path / name) for name in ("audit.json", "confirm.json")
    )
    return ReportData(
        name=search.path.resolve().name,
        experiment=experiment,
        environment=environment,
        records=records,
        failures=tuple(search.failures),
        jobs=search.jobs,
        baseline=baseline,
        baseline_cost=_cost_if_allowed(baseline),
        last_epoch=search.last_epoch,
        conclusion=conclusion_of_records(records, experiment, baseline),
        proxy_check=proxy_check(search),
        other_searches=tuple(audit_document.get("beside", ())),
        replications=(
            *([confirmation_document] if confirmation_document else []),
            *audit_document.get("sensitivity", ()),
        ),
    )


def _read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or, with a warning, cannot be read."""
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
    except ScaleSearchError:  # code that may not be run; the report goes without its cost
        return None
