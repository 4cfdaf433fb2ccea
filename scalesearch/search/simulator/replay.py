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
from scalesearch.search.simulator.surfaces import SurfacePoint
from scalesearch.tabular import scaling_table

RunRows: TypeAlias = tuple[Mapping[str, Any], ...]
"""The rows of a run, as training told them, from its first epoch on."""

TRAINING_COLUMNS = (
    *("train_loss", "loss", "accuracy", "top5", "learning_rate", "micro_batch"),
    *("seconds", "images_per_second", "peak_bytes", "utilisation", "device", "commit"),
)
"""What training tells of an epoch beside its seed and number."""


@dataclass(frozen=True)
class ReplaySurface:
    """A surface of recorded candidates alone, which shows of each what was recorded and no more.

    ``runs``: by candidate and seed. ``asked``: what each candidate was asked for. A search's seeds
    stand for the recorded ones in their order, in each world begun with another; what training took
    is what it took then, whatever worker it falls to.
    """

    name: str
    runs: Mapping[str, Mapping[int, RunRows]] = field(repr=False)
    asked_coefficients: Mapping[str, Coefficients] = field(repr=False)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Those that every candidate was trained with."""
        common = [set(seed_runs) for seed_runs in self.runs.values()]
        return tuple(sorted(set.intersection(*common))) if common else ()

    @cached_property
    def epochs(self) -> int:
        """How many are on record of every run."""
        return min((len(run) for seed_runs in self.runs.values() for run in seed_runs.values()), default=0)

    def for_experiment(self, experiment: Experiment) -> "ReplaySurface":
        """The candidates that have all seeds and epochs that the experiment asks for.

        Raises SearchError where fewer than two have.
        """
        last_epoch, seeds = experiment.rungs[-1], experiment.search.seeds
        long_runs = {
            name: {seed: run for seed, run in seed_runs.items() if len(run) >= last_epoch}
            for name, seed_runs in self.runs.items()
        }
        kept_runs = {name: own for name, own in long_runs.items() if len(own) >= seeds}
        restricted = replace(self, runs=kept_runs)
        if len(kept_runs) < 2 or len(restricted.seeds) < seeds:
            longest = max(len(run) for own in self.runs.values() for run in own.values())
            most_seeds = max(len(own) for own in self.runs.values())
            raise SearchError(
                f"{self.name}: need 2 recorded candidates with the experiment's {seeds} seeds and "
                f"{last_epoch} epochs, got {len(kept_runs)} (at most {most_seeds} seeds and {longest} epochs are on "
                "record); ask for fewer by --set search.seeds=... and recipe.epochs=..."
            )
        return restricted

    def require_recorded(self, experiment: Experiment) -> None:
        """Raises SearchError where an experiment asks for more than is on record of each run."""
        last_epoch, seeds = experiment.rungs[-1], experiment.search.seeds
        if last_epoch > self.epochs or seeds > len(self.seeds):
            raise SearchError(
                f"{self.name}: need at most the {len(self.seeds)} seeds and {self.epochs} epochs "
                f"that are on record of each candidate, got {seeds} and {last_epoch}"
            )

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        """Mean over the recorded seeds."""
        seed_runs = self.runs[point.candidate]
        return float(sum(seed_runs[seed][epoch - 1]["accuracy"] for seed in self.seeds)) / len(self.seeds)

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        measured: float = self.epoch_row(point, run, epoch, world)["accuracy"]
        return measured - self.accuracy(point, epoch)

    def seconds(self, point: SurfacePoint) -> float:
        seed_runs = self.runs[point.candidate]
        return float(median(row["seconds"] for run in seed_runs.values() for row in run))

    def epoch_row(self, point: SurfacePoint, run: int, epoch: int, world: int) -> dict[str, Any]:
        """An epoch on record, as that of the seed ``run``."""
        seed = self.seeds[(run + world) % len(self.seeds)]
        return {**self.runs[point.candidate][seed][epoch - 1], "seed": run, "epoch": epoch}


def load_replay(source: str | Path) -> ReplaySurface:
    """The runs of a search's folder, of its ``records.csv``, or of a search of that name in
    ``scalesearch.scaling_table()``.

    Raises SearchError for what is none of these.
    """
    path = Path(source)
    if path.is_dir() or path.suffix == ".csv":
        path = path / "records.csv" if path.is_dir() else path
        return replay_from_table(read_records(path), path.parent.name or path.stem)
    table = scaling_table()
    search_rows = table[table["search"] == str(source)]
    if search_rows.empty:
        search_names = ", ".join(sorted(set(table["search"])))
        raise SearchError(
            f"--table: need a search's folder, its records.csv, or one of {search_names}, got {source}"
        )
    return replay_from_table(search_rows, str(source))


def replay_from_table(table: pd.DataFrame, name: str) -> ReplaySurface:
    """The runs of a table with the columns of records, of which those that tell of networks and of
    memory may be missing. A run's epochs count as far as none is missing."""
    recorded_columns = [column for column in TRAINING_COLUMNS if column in table.columns]
    missing_values = dict.fromkeys((column for column in TRAINING_COLUMNS if column not in recorded_columns), float("nan"))
    runs: dict[str, dict[int, RunRows]] = {}
    for key, rows in table.groupby(["candidate", "seed"]):
        candidate, seed = cast(tuple[str, int], key)
        ordered = rows.sort_values("epoch")
        unbroken = ordered[ordered["epoch"].to_numpy() == range(1, len(ordered) + 1)]
        rows_from_start = unbroken[recorded_columns].to_dict("records")
        runs.setdefault(candidate, {})[int(seed)] = tuple({**missing_values, **recorded_row} for recorded_row in rows_from_start)
    asked_table = table.groupby("candidate")[["asked_alpha", "asked_beta", "asked_gamma"]].first()
    asked_coefficients = {str(key): Coefficients(*map(float, row)) for key, row in asked_table.iterrows()}
    return ReplaySurface(name, runs, asked_coefficients)
