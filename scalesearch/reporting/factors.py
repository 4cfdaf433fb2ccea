"""Searches at several factors, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.factor_drift import FactorDrift, factor_drift
from scalesearch.config.reading import read_experiment
from scalesearch.io import write_json
from scalesearch.results.records import read_records

SCHEMA = "scalesearch/factors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class FactorComparison:
    """The searches' ``names``, and whether what is best ``drift``s with the factor."""

    search_names: tuple[str, ...]
    drift: FactorDrift

    @property
    def text(self) -> str:
        return "\n".join((self.drift.sentence, *self.drift.notes))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row for each factor, as people read it."""
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
        """All of it, for programs: ``factors.json``."""
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


def factor_comparison(folders: Sequence[str | Path], *, level: float = 0.1) -> FactorComparison:
    """What the searches in these folders, each of a factor of its own, come to together."""
    experiments = [read_experiment(Path(folder) / "experiment.yaml") for folder in folders]
    records_by_factor = {
        experiment.budget.factor: (read_records(Path(folder) / "records.csv"), experiment.rungs[-1])
        for experiment, folder in zip(experiments, folders, strict=True)
    }
    return FactorComparison(
        tuple(one.name for one in experiments), factor_drift(records_by_factor, level=level)
    )


def write_factor_comparison(folder: str | Path, folders: Sequence[str | Path]) -> FactorComparison:
    """Write ``factors.json`` of the searches in ``folders`` into the folder that holds them."""
    comparison = factor_comparison(folders)
    write_json(Path(folder) / "factors.json", comparison.document, allow_nan=False)
    return comparison
