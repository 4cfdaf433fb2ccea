"""The conclusion of a search, from the files in its folder."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion, conclusion
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.reporting.confirmation_report import (
    confirmation_of_folder,
    learning_rate_replications,
)
from scalesearch.results.search_folder import FolderLike, SearchFolder


def conclusion_of_folder(folder: FolderLike, *, level: float = 0.1) -> Conclusion:
    """Draw the conclusion of the search in a folder.

    Reads ``experiment.yaml``, ``environment.json`` and ``records.csv``. Where the best networks
    were trained again, the notes say whether the result held.

    Raises SearchError if one of these files is missing or wrong, or if no candidate has finished.
    """
    search = SearchFolder.from_path(folder)
    search.require_one_budget("to conclude from")
    result = conclusion_of_records(search.records, search.experiment, search.baseline, level=level)
    candidate = result.nearest_to_optimum.candidate if result.nearest_to_optimum else None
    return replace(result, notes=(*result.notes, *_replication_notes(search, level, candidate)))


def _replication_notes(search: SearchFolder, level: float, candidate: str | None) -> Iterator[str]:
    """Describe each replication, which may be of an earlier result of the search."""
    replications = list(learning_rate_replications(search, level=level))
    with suppress(SearchError):  # there is no confirmation, or it has only begun
        replications.insert(0, confirmation_of_folder(search, level=level).replication)
    for replication in replications:
        is_other_candidate = (
            candidate is not None and candidate != replication.search_best.candidate
        )
        yield replication.sentence + (
            f"; {candidate}, the network recommended here, was not trained again"
            if is_other_candidate
            else ""
        )


def conclusion_of_records(
    records: pd.DataFrame,
    experiment: Experiment,
    baseline: Architecture | CustomModel,
    *,
    level: float = 0.1,
) -> Conclusion:
    """Draw the conclusion of an experiment's records at its last rung."""
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
    """Predicted seconds of each candidate; empty if the budget has no latency model."""
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
