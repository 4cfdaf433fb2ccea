"""The recorded runs of this project as one table with its data sheet.

    python benchmarks/scaling_table.py [--out FOLDER] [--check]

Of every ``records.csv`` under results/ that git tracks, with the experiment and the environment
beside it; what is not committed is left out. Writes ``scaling_table.csv`` and ``scaling_table.md``,
the latter from scaling_table_sheet.md. ``--check`` writes nothing and exits 1 where a file is not
what would be written.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.additive_model import additive_model
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.config.recipe import Recipe
from scalesearch.io import write_text
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records
from scalesearch.results.scaling_table import COLUMNS, FILE_NAME, KEY, validate_table

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "benchmarks"
TEMPLATE = Path(__file__).with_name("scaling_table_sheet.md")
SHEET = "scaling_table.md"
SAME = ["candidate", "seed", "epoch", "accuracy", "loss"]
"""Rows that agree in these are of one and the same training, in two searches."""


@dataclass(frozen=True, slots=True)
class Source:
    """A search on record. ``place``: its folder, as a path below the project's root."""

    place: str
    experiment: Experiment
    environment: dict[str, Any]
    records: pd.DataFrame

    @property
    def data(self) -> str:
        """What its images are called: the last part of the source's name or path."""
        return self.experiment.data.source.partition(":")[2].rstrip("/").rpartition("/")[2] or (
            self.experiment.data.source
        )

    @property
    def baseline(self) -> str:
        spec = self.experiment.baseline
        stem = f", stem stride {spec.stem_stride}" if spec.stem_stride else ""
        pixels = f" at {spec.resolution} px" if spec.resolution else ""
        deep = f", depth x{spec.depth:g}" if spec.depth != 1 else ""
        return f"{spec.name} x{spec.width:g}{deep}{pixels}{stem}"

    @property
    def rows(self) -> pd.DataFrame:
        """Its part of the table."""
        recipe, facts = self.experiment.recipe, self.environment["data"]
        table = self.records.assign(
            search=self.experiment.name,
            data=self.data,
            baseline=self.baseline,
            epochs=recipe.epochs,
            train_images=facts["train"],
            validation_images=facts["validation"],
            batch_size=recipe.batch_size,
            learning_rate=self.records["learning_rate"].fillna(recipe.learning_rate),
        )
        return table[list(COLUMNS)]

    @property
    def noise(self) -> float | None:
        """Standard deviation of a run's last accuracy after network and seed, a fraction; None
        where there is one seed."""
        table = self.records[self.records["epoch"] == self.experiment.rungs[-1]]
        values: dict[str, dict[int, float]] = {}
        for _, row in table.iterrows():
            values.setdefault(row["candidate"], {})[row["seed"]] = row["accuracy"]
        variance = additive_model(values).variance if values else None
        return None if variance is None else variance**0.5

    @property
    def told(self) -> str:
        """Its line in the sheet's table of sources."""
        spec, found, facts = self.experiment, self.records, self.environment["data"]
        runs = found[["candidate", "seed"]].drop_duplicates()
        cells = (
            f"[{spec.name}]({_from_sheet(self.place)})",
            f"{self.data}, {facts['train']:,} and {facts['validation']:,}",
            self.baseline,
            _budget(spec),
            f"{found['candidate'].nunique()}, {len(runs)}, {len(found)}",
            "" if self.noise is None else f"{100 * self.noise:.1f}",
            _recipe(spec.recipe),
            f"{found['device'].iloc[0]}, {self.environment['processor']}",
            ", ".join(sorted({commit for commit in found["commit"] if commit})),
        )
        return f"| {' | '.join(cells)} |"


def _recipe(recipe: Recipe) -> str:
    return (
        f"{recipe.epochs} epochs, batch {recipe.batch_size}, {recipe.optimizer} "
        f"{recipe.learning_rate:g} {recipe.schedule}"
    )


def _budget(experiment: Experiment) -> str:
    if experiment.search.sampler == "points":
        return "listed networks"
    budget = experiment.budget
    return (
        f"{budget.measure} x{budget.factor:g} ±{budget.tolerance:.0%} {budget.mode}, "
        f"{budget.rounding_name}"
    )


def _from_sheet(place: str) -> str:
    """A path below the root as the sheet links to it."""
    return "../" + place.removeprefix("results/")


def tracked(root: Path = ROOT) -> list[Path]:
    """Every ``records.csv`` under results/ that git tracks, in order of their paths."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--", "results/*records.csv"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [root / path for path in sorted(listed.split("\0")) if path.endswith("/records.csv")]


def sources(paths: Sequence[Path], root: Path = ROOT) -> Iterator[Source]:
    """The searches that these tables are of."""
    for path in paths:
        folder = path.parent
        yield Source(
            folder.relative_to(root).as_posix(),
            read_experiment(folder / "experiment.yaml"),
            read_environment(folder / "environment.json"),
            read_records(path),
        )


def combined(found: Sequence[Source]) -> pd.DataFrame:
    """The table, in order of its key's search, then of trial, seed and epoch."""
    table = pd.concat([source.rows for source in found], ignore_index=True)
    table = table.sort_values(["search", "trial", "seed", "epoch"], ignore_index=True)
    rounded = {name: one.decimals for name, one in COLUMNS.items() if one.decimals is not None}
    return validate_table(table.round(rounded), "results")


def repeated(table: pd.DataFrame) -> int:
    """Rows that an earlier search has, too: the same run, to the last digit."""
    return int(table.duplicated(SAME).sum())


def slower(table: pd.DataFrame) -> float:
    """How many times as long the same training took at most, of those that two searches have."""
    took = table.groupby(SAME)["seconds"]
    return float((took.max() / took.min()).max())


def sheet(found: Sequence[Source], table: pd.DataFrame) -> str:
    """The data sheet: the template with what can be counted filled in."""
    columns = [f"| `{name}` | {one.kind} | {one.meaning} |" for name, one in COLUMNS.items()]
    ordered = sorted(found, key=lambda source: source.experiment.name)
    errors = [one.noise / 3**0.5 for one in found if one.noise is not None]
    filled = {
        "rows": f"{len(table):,}",
        "runs": f"{len(table[KEY[:3]].drop_duplicates()):,}",
        "networks": f"{table['candidate'].nunique():,}",
        "searches": str(len(found)),
        "hours": f"{table['seconds'].sum() / 3600:.1f}",
        "slower": f"{slower(table):.1f}",
        "least": f"{100 * min(errors):.1f}",
        "most": f"{100 * max(errors):.1f}",
        "repeated": f"{repeated(table):,}",
        "key": ", ".join(KEY),
        "columns": "\n".join(columns),
        "sources": "\n".join(source.told for source in ordered),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace("{" + name + "}", value)
    return text


def documents(root: Path = ROOT) -> dict[str, str]:
    """Both files, by name."""
    found = list(sources(tracked(root), root))
    table = combined(found)
    return {FILE_NAME: table.to_csv(index=False), SHEET: sheet(found, table)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    differ = 0
    for name, text in documents().items():
        path = options.out / name
        if not options.check:
            write_text(path, text)
            print(f"wrote {path}", file=sys.stderr)
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: not what the committed records make; run {__file__}", file=sys.stderr)
            differ = 1
    return differ


if __name__ == "__main__":
    sys.exit(main())
