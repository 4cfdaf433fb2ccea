"""How far a search is, read from its folder while it runs or long after."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.answer import Result, summary
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.records import read_records, spent_seconds
from scalesearch.report.results import read_failures


@dataclass(frozen=True, slots=True)
class Status:
    """Finished candidates, the best first, and epochs on record.

    ``seconds``: of these epochs, and of the sweeps that found learning rates for them.
    """

    name: str
    sampler: str
    epochs: int
    seconds: float
    results: list[Result]
    failures: list[dict[str, Any]]

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """One flat row for each finished candidate."""
        return [
            {
                "candidate": result.candidate,
                "role": result.role,
                "depth_share": result.shares.depth,
                "width_share": result.shares.width,
                "resolution_share": result.shares.resolution,
                "factor": result.factor,
                "accuracy": result.accuracy,
                "standard_error": result.standard_error,
                "seeds": result.seeds,
            }
            for result in self.results
        ]


def status(folder: str | Path) -> Status:
    """The state of the search in a folder. Raises SearchError where the folder holds none."""
    folder = Path(folder)
    if not (folder / "experiment.yaml").is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    experiment = read_experiment(folder / "experiment.yaml")
    if not (folder / "records.csv").is_file():
        return Status(experiment.name, experiment.search.sampler, 0, 0.0, [], [])
    records = read_records(folder / "records.csv")
    return Status(
        name=experiment.name,
        sampler=experiment.search.sampler,
        epochs=len(records),
        seconds=spent_seconds(records),
        results=_finished(records, experiment),
        failures=read_failures(folder),
    )


def _finished(records: pd.DataFrame, experiment: Experiment) -> list[Result]:
    try:
        return summary(records, epochs=experiment.recipe.epochs, seeds=len(experiment.seeds))
    except SearchError:
        return []  # none yet
