"""Searches at several factors, side by side."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.factors import FactorDrift, factor_drift
from scalesearch.experiment import read_experiment
from scalesearch.files import write_text
from scalesearch.records import read_records

SCHEMA = "scalesearch/factors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Factors:
    """The searches' ``names``, and whether what is best ``drift``s with the factor."""

    names: tuple[str, ...]
    drift: FactorDrift

    @property
    def words(self) -> str:
        return "\n".join((self.drift.words, *self.drift.notes))

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
            "searches": list(self.names),
            "sentence": self.drift.words,
            "level": self.drift.level,
            "drifts": self.drift.drifts,
            "optima": self.drift.rows,
            "differences": [difference.row for difference in self.drift.differences],
            "notes": list(self.drift.notes),
        }


def factors(folders: Sequence[str | Path], *, level: float = 0.1) -> Factors:
    """What the searches in these folders, each of a factor of its own, come to together."""
    experiments = [read_experiment(Path(folder) / "experiment.yaml") for folder in folders]
    tables = {
        one.budget.factor: (read_records(Path(folder) / "records.csv"), one.rungs[-1])
        for one, folder in zip(experiments, folders, strict=True)
    }
    return Factors(tuple(one.name for one in experiments), factor_drift(tables, level=level))


def write_factors(folder: str | Path, folders: Sequence[str | Path]) -> Factors:
    """Write ``factors.json`` of the searches in ``folders`` into the folder that holds them."""
    found = factors(folders)
    text = json.dumps(found.document, indent=2, allow_nan=False) + "\n"
    write_text(Path(folder) / "factors.json", text)
    return found
