"""Replications of a search's best networks: longer, and at other rates."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scalesearch.analysis.replication import Replication, compare_replication, rows_of_best_tables
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.results.search_folder import FolderLike, SearchFolder
from scalesearch.search.confirmation import ANSWER_CELL, BEST_CELL, CONFIRMATION_FOLDER

SCHEMA = "scalesearch/confirmation"
VERSION = 1
SENSITIVITY_FOLDER = "audit"
"""Folder, inside a search's folder, of its best networks at other learning rates."""


@dataclass(frozen=True, slots=True)
class ConfirmationResult:
    """A confirmation compared with its search."""

    name: str
    """Name of the search."""
    epochs: tuple[int, int]
    """Epochs of the search and of its confirmation."""
    replication: Replication

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values, for ``confirm.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "epochs": {"search": self.epochs[0], "confirmation": self.epochs[1]},
            **replication_document(self.replication),
        }


def replication_document(replication: Replication) -> dict[str, Any]:
    """Return a replication as JSON values."""
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


def confirmation_of_folder(folder: FolderLike, *, level: float = 0.1) -> ConfirmationResult:
    """Compare a search with the confirmation inside its folder.

    Raises SearchError if there is none, or if it has not trained the search's best to its end.
    """
    search = SearchFolder.from_path(folder)
    confirmation = SearchFolder(search.path / CONFIRMATION_FOLDER)
    description = f"after {confirmation.last_epoch} epochs, with other seeds"
    replication = _replication_of(search, confirmation, description, level)
    return ConfirmationResult(
        search.experiment.name, (search.last_epoch, confirmation.last_epoch), replication
    )


def write_confirmation(folder: FolderLike, *, level: float = 0.1) -> ConfirmationResult:
    """Write ``confirm.json`` into a search's folder."""
    search = SearchFolder.from_path(folder)
    confirmation = confirmation_of_folder(search, level=level)
    write_json(search.path / "confirm.json", confirmation.document, allow_nan=False)
    return confirmation


def learning_rate_replications(
    folder: FolderLike, *, level: float = 0.1
) -> tuple[Replication, ...]:
    """Compare a search with its best networks at other learning rates and rules.

    Includes those that have been trained so far. The last replication, if there are other rates,
    takes each candidate at its best rate. Runs with another number of epochs than the search, from
    before it was extended, are left out.
    """
    search = SearchFolder.from_path(folder)
    recipe = search.experiment.recipe
    replications, records_by_rate = [], {}
    for path in sorted((search.path / SENSITIVITY_FOLDER).glob("*/records.csv")):
        other = SearchFolder(path.parent)
        other_recipe = other.experiment.recipe
        if other.last_epoch != search.last_epoch:
            continue
        has_same_rule = other_recipe.learning_rate_rule == recipe.learning_rate_rule
        label = (
            f"learning rate x{other_recipe.learning_rate / recipe.learning_rate:g}"
            if has_same_rule
            else f"rule {other_recipe.learning_rate_rule}"
        )
        try:
            replications.append(_replication_of(search, other, label, level))
        except SearchError:  # it has only begun
            continue
        if has_same_rule:
            records_by_rate[label] = other.records
    if records_by_rate:
        search_best = replications[0].search_best.candidate
        with suppress(SearchError):  # at one of the rates, the search's best has only begun
            replications.append(_best_rate_replication(search, records_by_rate, search_best, level))
    return tuple(replications)


def _best_rate_replication(
    search: SearchFolder, records_by_rate: dict[str, pd.DataFrame], search_best: str, level: float
) -> Replication:
    """Compare a search with each of its candidates at its best learning rate."""
    records = search.records[search.records["epoch"] == search.last_epoch]
    best_records = rows_of_best_tables({"learning rate x1": records, **records_by_rate})
    label = "each at its best rate"
    return compare_replication(records, best_records, label, search_best=search_best, level=level)


def _replication_of(
    search: SearchFolder, other: SearchFolder, label: str, level: float
) -> Replication:
    search_best = _search_best(other.records)
    if not _is_complete(other.experiment, other.records):
        label = f"{label} (not all of it trained)"
    return compare_replication(
        search.records,
        other.records,
        label,
        epochs=(search.last_epoch, other.last_epoch),
        search_best=search_best,
        level=level,
    )


def _is_complete(experiment: Experiment, records: pd.DataFrame) -> bool:
    """Whether all seeds of each point have finished the last epoch."""
    cells = records.loc[records["epoch"] == experiment.rungs[-1], "cell"]
    run_counts = Counter(name for cell in cells for name in str(cell).split("; "))
    return all(
        run_counts[point.name] >= len(experiment.seeds) for point in experiment.search.points
    )


def _search_best(records: pd.DataFrame) -> str | None:
    """Find the search's recommended candidate, else its best one, by the names of cells."""
    for name in (ANSWER_CELL, BEST_CELL):
        rows = records[[name in str(cell).split("; ") for cell in records["cell"]]]
        if len(rows):
            return str(rows["candidate"].iloc[0])
    return None
