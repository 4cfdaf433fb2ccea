"""What training a search's best again came to: longer, and by other learning rates."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.replication import Replication, compare_replication, rows_of_best_tables
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.results.records import read_records
from scalesearch.search.confirmation import ANSWER_CELL, BEST_CELL, CONFIRMATION_FOLDER

SCHEMA = "scalesearch/confirmation"
VERSION = 1
SENSITIVITY_FOLDER = "audit"
"""The folder, below a search's own, of its best at other learning rates."""


@dataclass(frozen=True, slots=True)
class ConfirmationResult:
    """``name``: of the search. ``epochs``: of the search, and of its confirmation."""

    name: str
    epochs: tuple[int, int]
    replication: Replication

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs: ``confirm.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "epochs": {"search": self.epochs[0], "confirmation": self.epochs[1]},
            **replication_document(self.replication),
        }


def replication_document(replication: Replication) -> dict[str, Any]:
    """A repetition for programs."""
    return {
        "sentence": replication.sentence,
        "level": replication.level,
        "best": replication.results[0].candidate,
        "search_answer": replication.search_best.candidate,
        "holds": replication.holds,
        "change": replication.mean_change,
        "agreement": replication.rank_correlation.row,
        "candidates": replication.rows,
    }


def confirmation_of_folder(folder: str | Path, *, level: float = 0.1) -> ConfirmationResult:
    """The confirmation below a search's folder beside the search.

    Raises SearchError where there is none, or the search's answer has not come to its end in it.
    """
    folder = Path(folder)
    search = _read_experiment_of(folder)
    confirmation = _read_experiment_of(folder / CONFIRMATION_FOLDER)
    search_epochs, confirmation_epochs = search.rungs[-1], confirmation.rungs[-1]
    replication = _replication_of(
        folder,
        folder / CONFIRMATION_FOLDER,
        f"after {confirmation_epochs} epochs, with other seeds",
        level,
    )
    return ConfirmationResult(search.name, (search_epochs, confirmation_epochs), replication)


def write_confirmation(folder: str | Path, *, level: float = 0.1) -> ConfirmationResult:
    """Write ``confirm.json`` into a search's folder."""
    confirmation = confirmation_of_folder(folder, level=level)
    write_json(Path(folder) / "confirm.json", confirmation.document, allow_nan=False)
    return confirmation


def learning_rate_replications(
    folder: str | Path, *, level: float = 0.1
) -> tuple[Replication, ...]:
    """What the search's best and references came to by other learning rates and rules, as far as
    that was trained; last, with each candidate at the best of the rates.

    What was trained for other epochs than the search's, before that was extended, is passed over:
    it would be compared with longer runs.
    """
    folder = Path(folder)
    search = _read_experiment_of(folder)
    last_epoch, learning_rate, replications, records_by_rate = (
        search.rungs[-1],
        search.recipe.learning_rate,
        [],
        {},
    )
    for path in sorted((folder / SENSITIVITY_FOLDER).glob("*/records.csv")):
        experiment = _read_experiment_of(path.parent)
        recipe = experiment.recipe
        if experiment.rungs[-1] != last_epoch:
            continue
        has_same_rule = recipe.learning_rate_rule == search.recipe.learning_rate_rule
        label = (
            f"learning rate x{recipe.learning_rate / learning_rate:g}"
            if has_same_rule
            else f"rule {recipe.learning_rate_rule}"
        )
        try:
            replications.append(_replication_of(folder, path.parent, label, level))
        except SearchError:  # it has only begun
            continue
        if has_same_rule:
            records_by_rate[label] = read_records(path)
    if records_by_rate:
        search_records = read_records(folder / "records.csv")
        search_records = search_records[search_records["epoch"] == last_epoch]
        best_records = rows_of_best_tables({"learning rate x1": search_records, **records_by_rate})
        answer_candidate, label = replications[0].search_best.candidate, "each at its best rate"
        with suppress(SearchError):  # of one rate, the search's answer has only begun
            replications.append(
                compare_replication(
                    search_records, best_records, label, search_best=answer_candidate, level=level
                )
            )
    return tuple(replications)


def _replication_of(folder: Path, other_folder: Path, label: str, level: float) -> Replication:
    experiment = _read_experiment_of(other_folder)
    last_epochs = _read_experiment_of(folder).rungs[-1], experiment.rungs[-1]
    other_records = read_records(other_folder / "records.csv")
    answer_candidate = _search_answer(other_records)
    if not _is_complete(experiment, other_records):
        label = f"{label} (not all of it trained)"
    return compare_replication(
        read_records(folder / "records.csv"),
        other_records,
        label,
        epochs=last_epochs,
        search_best=answer_candidate,
        level=level,
    )


def _is_complete(experiment: Experiment, records: pd.DataFrame) -> bool:
    """Whether each of its points has the last epoch with all seeds."""
    cells = records.loc[records["epoch"] == experiment.rungs[-1], "cell"]
    run_counts = Counter(name for cell in cells for name in str(cell).split("; "))
    return all(
        run_counts[point.name] >= len(experiment.seeds) for point in experiment.search.points
    )


def _search_answer(records: pd.DataFrame) -> str | None:
    """The search's answer, or its best where it has none, by the names of cells."""
    for name in (ANSWER_CELL, BEST_CELL):
        rows = records[[name in str(cell).split("; ") for cell in records["cell"]]]
        if len(rows):
            return str(rows["candidate"].iloc[0])
    return None


def _read_experiment_of(folder: Path) -> Experiment:
    path = folder / "experiment.yaml"
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path)
