"""The conclusion of a search's folder: its records, with what its experiment knows."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalesearch.analysis import Conclusion, conclusion
from scalesearch.architectures import Architecture, Foreign
from scalesearch.environment import read_environment
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.records import read_records
from scalesearch.report.repeats import confirmed, sensitivity


def concluded(folder: str | Path, *, level: float = 0.1) -> Conclusion:
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
    baseline = experiment.baseline.build(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    records = read_records(folder / "records.csv")
    found = of_experiment(records, experiment, baseline, level=level)
    answer = found.answer.candidate if found.answer else None
    return replace(found, notes=(*found.notes, *_again(folder, level, answer)))


def _again(folder: Path, level: float, answer: str | None) -> Iterator[str]:
    """What training the best again came to, where that was done; it may have been before the
    search went on to another answer."""
    repetitions = list(sensitivity(folder, level=level))
    with suppress(SearchError):  # it was not, or has only begun
        repetitions.insert(0, confirmed(folder, level=level).found)
    for one in repetitions:
        other = answer is not None and answer != one.first.candidate
        yield one.words + (f"; that was not asked of {answer}, the answer here" if other else "")


def of_experiment(
    records: pd.DataFrame,
    experiment: Experiment,
    baseline: Architecture | Foreign,
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
        rounding=experiment.budget.profile,
        latencies=_latencies(records, experiment, baseline),
    )


def _latencies(
    records: pd.DataFrame, experiment: Experiment, baseline: Architecture | Foreign
) -> dict[str, float]:
    """Predicted seconds of every candidate, where the budget has a model of them."""
    model = experiment.budget.latency
    if model is None or isinstance(baseline, Foreign):
        return {}
    rows = records.drop_duplicates("candidate")
    return {
        str(name): float(model.seconds(int(macs), int(activations), round(depth * baseline.blocks)))
        for name, macs, activations, depth in zip(
            rows["candidate"], rows["macs"], rows["activations"], rows["alpha"], strict=True
        )
    }
