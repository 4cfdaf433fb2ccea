"""Recorded runs in place of training: what a search would have found, and waited for, on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias, cast

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.records import read_records
from scalesearch.scaling import Coefficients
from scalesearch.search.simulator.surfaces import Point
from scalesearch.tabular import scaling_table

Run: TypeAlias = tuple[Mapping[str, Any], ...]
"""The rows of a run, as training told them, from its first epoch on."""

TOLD = (
    *("train_loss", "loss", "accuracy", "top5", "learning_rate", "micro_batch"),
    *("seconds", "images_per_second", "peak_bytes", "utilisation", "device", "commit"),
)
"""What training tells of an epoch beside its seed and number."""


@dataclass(frozen=True)
class Replay:
    """A surface of recorded candidates alone, which shows of each what was recorded and no more.

    ``runs``: by candidate and seed. ``asked``: what each candidate was asked for. A search's seeds
    stand for the recorded ones in their order, in each world begun with another; what training took
    is what it took then, whatever worker it falls to.
    """

    name: str
    runs: Mapping[str, Mapping[int, Run]] = field(repr=False)
    asked: Mapping[str, Coefficients] = field(repr=False)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Those that every candidate was trained with."""
        common = [set(of_one) for of_one in self.runs.values()]
        return tuple(sorted(set.intersection(*common))) if common else ()

    @cached_property
    def epochs(self) -> int:
        """How many are on record of every run."""
        return min((len(run) for own in self.runs.values() for run in own.values()), default=0)

    def of(self, experiment: Experiment) -> "Replay":
        """The candidates that have all seeds and epochs that the experiment asks for.

        Raises SearchError where fewer than two have.
        """
        last, seeds = experiment.rungs[-1], experiment.search.seeds
        whole = {
            name: {seed: run for seed, run in own.items() if len(run) >= last}
            for name, own in self.runs.items()
        }
        kept = {name: own for name, own in whole.items() if len(own) >= seeds}
        found = replace(self, runs=kept)
        if len(kept) < 2 or len(found.seeds) < seeds:
            longest = max(len(run) for own in self.runs.values() for run in own.values())
            most = max(len(own) for own in self.runs.values())
            raise SearchError(
                f"{self.name}: need 2 recorded candidates with the experiment's {seeds} seeds and "
                f"{last} epochs, got {len(kept)} (at most {most} seeds and {longest} epochs are on "
                "record); ask for fewer by --set search.seeds=... and recipe.epochs=..."
            )
        return found

    def refuse(self, experiment: Experiment) -> None:
        """Raises SearchError where an experiment asks for more than is on record of each run."""
        last, seeds = experiment.rungs[-1], experiment.search.seeds
        if last > self.epochs or seeds > len(self.seeds):
            raise SearchError(
                f"{self.name}: need at most the {len(self.seeds)} seeds and {self.epochs} epochs "
                f"that are on record of each candidate, got {seeds} and {last}"
            )

    def accuracy(self, point: Point, epoch: int) -> float:
        """Mean over the recorded seeds."""
        own = self.runs[point.candidate]
        return float(sum(own[seed][epoch - 1]["accuracy"] for seed in self.seeds)) / len(self.seeds)

    def deviation(self, point: Point, run: int, epoch: int, chance: int) -> float:
        shown: float = self.row(point, run, epoch, chance)["accuracy"]
        return shown - self.accuracy(point, epoch)

    def seconds(self, point: Point) -> float:
        own = self.runs[point.candidate]
        return float(median(row["seconds"] for run in own.values() for row in run))

    def row(self, point: Point, run: int, epoch: int, chance: int) -> dict[str, Any]:
        """An epoch on record, as that of the seed ``run``."""
        seed = self.seeds[(run + chance) % len(self.seeds)]
        return {**self.runs[point.candidate][seed][epoch - 1], "seed": run, "epoch": epoch}


def replay(source: str | Path) -> Replay:
    """The runs of a search's folder, of its ``records.csv``, or of a search of that name in
    ``scalesearch.scaling_table()``.

    Raises SearchError for what is none of these.
    """
    path = Path(source)
    if path.is_dir() or path.suffix == ".csv":
        path = path / "records.csv" if path.is_dir() else path
        return replay_of(read_records(path), path.parent.name or path.stem)
    table = scaling_table()
    own = table[table["search"] == str(source)]
    if own.empty:
        known = ", ".join(sorted(set(table["search"])))
        raise SearchError(
            f"--table: need a search's folder, its records.csv, or one of {known}, got {source}"
        )
    return replay_of(own, str(source))


def replay_of(table: pd.DataFrame, name: str) -> Replay:
    """The runs of a table with the columns of records, of which those that tell of networks and of
    memory may be missing. A run's epochs count as far as none is missing."""
    told = [column for column in TOLD if column in table.columns]
    unknown = dict.fromkeys((column for column in TOLD if column not in told), float("nan"))
    runs: dict[str, dict[int, Run]] = {}
    for key, rows in table.groupby(["candidate", "seed"]):
        candidate, seed = cast(tuple[str, int], key)
        ordered = rows.sort_values("epoch")
        unbroken = ordered[ordered["epoch"].to_numpy() == range(1, len(ordered) + 1)]
        listed = unbroken[told].to_dict("records")
        runs.setdefault(candidate, {})[int(seed)] = tuple({**unknown, **r} for r in listed)
    asked = table.groupby("candidate")[["asked_alpha", "asked_beta", "asked_gamma"]].first()
    given = {str(key): Coefficients(*map(float, row)) for key, row in asked.iterrows()}
    return Replay(name, runs, given)
