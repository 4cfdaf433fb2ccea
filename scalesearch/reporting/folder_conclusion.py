"""The conclusion of a search's folder: its records, with what its experiment knows."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion, conclusion
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.reporting.confirmation_report import (
    confirmation_of_folder,
    learning_rate_replications,
)
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records


def conclusion_of_folder(folder: str | Path, *, level: float = 0.1) -> Conclusion:
    """Everything that the search in a folder says, from ``experiment.yaml``, ``environment.json``
    and ``records.csv`` alone; in the notes, whether its best held where it was trained again.

    Raises SearchError where one of these is missing or wrong, or no candidate has finished.
    """
    folder = Path(folder)
    experiment = read_experiment(folder / "experiment.yaml")
    if experiment.search.sampler == "points":
        raise SearchError(
            f"{folder}: need a search over one budget to conclude from, got points listed one by "
            f"one; `scalesearch status {folder}` tells how each did"
        )
    data = read_environment(folder / "environment.json")["data"]
    baseline = experiment.baseline.build_architecture(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    records = read_records(folder / "records.csv")
    result = conclusion_of_records(records, experiment, baseline, level=level)
    candidate = result.nearest_to_optimum.candidate if result.nearest_to_optimum else None
    return replace(result, notes=(*result.notes, *_replication_notes(folder, level, candidate)))


def _replication_notes(folder: Path, level: float, candidate: str | None) -> Iterator[str]:
    """What training the best again came to, where that was done; it may have been before the
    search went on to another answer."""
    replications = list(learning_rate_replications(folder, level=level))
    with suppress(SearchError):  # it was not, or has only begun
        replications.insert(0, confirmation_of_folder(folder, level=level).replication)
    for replication in replications:
        is_other_candidate = (
            candidate is not None and candidate != replication.search_best.candidate
        )
        yield replication.sentence + (
            f"; that was not asked of {candidate}, the answer here" if is_other_candidate else ""
        )


def conclusion_of_records(
    records: pd.DataFrame,
    experiment: Experiment,
    baseline: Architecture | CustomModel,
    *,
    level: float = 0.1,
) -> Conclusion:
    """What these records of an experiment say, at its last rung."""
    return conclusion(
        records,
        experiment.budget.factor,
        name=experiment.name,
        epochs=experiment.rungs[-1],
        level=level,
        baseline=baseline,
        rounding=experiment.budget.rounding_profile,
        latencies=_predicted_latencies(records, experiment, baseline),
    )


def _predicted_latencies(
    records: pd.DataFrame, experiment: Experiment, baseline: Architecture | CustomModel
) -> dict[str, float]:
    """Predicted seconds of every candidate, where the budget has a model of them."""
    model = experiment.budget.latency
    if model is None or isinstance(baseline, CustomModel):
        return {}
    rows = records.drop_duplicates("candidate")
    return {
        str(name): float(
            model.seconds(int(macs), int(activations), round(depth * baseline.num_blocks))
        )
        for name, macs, activations, depth in zip(
            rows["candidate"], rows["macs"], rows["activations"], rows["alpha"], strict=True
        )
    }
