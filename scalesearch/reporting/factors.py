"""Searches at several budget factors, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.factor_drift import FactorDrift, factor_drift
from scalesearch.io import write_json
from scalesearch.results.search_folder import FolderLike, SearchFolder

SCHEMA = "scalesearch/factors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class FactorComparison:
    """The names of the searches, and whether their optimum changes with the factor."""

    search_names: tuple[str, ...]
    drift: FactorDrift

    @property
    def text(self) -> str:
        """The result and its notes, a line for each."""
        return "\n".join((self.drift.sentence, *self.drift.notes))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row for each factor, formatted for people."""
        return [
            {
                "factor": row["factor"],
                "candidates": row["candidates"],
                **{
                    axis: f"{row[axis]:.3f} [{row[f'{axis}_low']:.3f}, {row[f'{axis}_high']:.3f}]"
                    for axis in ("depth", "width", "resolution")
                },
            }
            for row in self.drift.rows
        ]

    @property
    def document(self) -> dict[str, Any]:
        """The comparison as JSON values, for ``factors.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "searches": list(self.search_names),
            "sentence": self.drift.sentence,
            "level": self.drift.level,
            "drifts": self.drift.has_drift,
            "optima": self.drift.rows,
            "differences": [difference.row for difference in self.drift.differences],
            "notes": list(self.drift.notes),
        }


def factor_comparison(folders: Sequence[FolderLike], *, level: float = 0.1) -> FactorComparison:
    """Compare the searches in these folders, each of another factor."""
    searches = [SearchFolder.from_path(folder) for folder in folders]
    records_by_factor = {
        search.experiment.budget.factor: (search.records, search.last_epoch) for search in searches
    }
    names = tuple(search.experiment.name for search in searches)
    return FactorComparison(names, factor_drift(records_by_factor, level=level))


def write_factor_comparison(folder: str | Path, folders: Sequence[FolderLike]) -> FactorComparison:
    """Write ``factors.json``, which compares the searches in ``folders``."""
    comparison = factor_comparison(folders)
    write_json(Path(folder) / "factors.json", comparison.document, allow_nan=False)
    return comparison
