"""Surfaces from the records of real searches.

``RecordedSurface`` interpolates between recorded candidates; ``ReplaySurface`` replays recorded
runs instead of training, including their times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import additive_model
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.results.records import SHARE_COLUMNS, read_records
from scalesearch.results.scaling_table import scaling_table
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.simulation.surfaces import SimulatedNoise, SurfacePoint

NEIGHBOUR_COUNT = 3


@dataclass(frozen=True, slots=True)
class RecordedSurface:
    """Mean accuracies of recorded candidates, with noise of the recorded size.

    The accuracy of any other candidate is interpolated from the nearest recorded ones, weighted by
    closeness. After the last recorded epoch nothing changes.
    """

    name: str
    mean_accuracies: Mapping[str, Mapping[int, float]] = field(repr=False)
    """Accuracy by candidate and epoch."""
    shares: Mapping[str, Shares] = field(repr=False)
    """Shares by candidate."""
    median_seconds: Mapping[str, float] = field(repr=False)
    """Median seconds of an epoch, by candidate."""
    noise_deviations: Mapping[int, tuple[float, float]] = field(repr=False)
    """Standard deviations by epoch: effect of a seed on all candidates, and on one."""

    @property
    def epochs(self) -> int:
        """Number of recorded epochs."""
        return max(self.noise_deviations)

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        recorded_epoch = min(epoch, self.epochs)
        return sum(
            weight * self.mean_accuracies[name][recorded_epoch]
            for name, weight in self._nearest_weights(point).items()
        )

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        recorded_epoch = min(epoch, self.epochs)
        seed_deviation, run_deviation = self.noise_deviations[recorded_epoch]
        # SimulatedNoise takes its deviations at epoch 3.
        scale = (recorded_epoch / 3) ** 0.5
        noise = SimulatedNoise(seed=seed_deviation * scale, run=run_deviation * scale)
        return noise.deviation(point.candidate, run, recorded_epoch, world)

    def seconds(self, point: SurfacePoint) -> float:
        return sum(
            weight * self.median_seconds[name]
            for name, weight in self._nearest_weights(point).items()
        )

    def _nearest_weights(self, point: SurfacePoint) -> dict[str, float]:
        """Return the nearest recorded candidates with their weights, which sum to 1."""
        if point.candidate in self.mean_accuracies:
            return {point.candidate: 1.0}
        distances = {name: point.shares.distance(shares) for name, shares in self.shares.items()}
        nearest = sorted(distances, key=lambda name: (distances[name], name))[:NEIGHBOUR_COUNT]
        weights = {name: 1 / (distances[name] + 1e-3) for name in nearest}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def recorded_surface(path: str | Path) -> RecordedSurface:
    """Fit a surface to the fully trained candidates of a ``records.csv``.

    Raises SearchError if the file is not such a table, or has fewer than four candidates with the
    last epoch, or fewer than two seeds.
    """
    table = read_records(path)
    last_epoch = int(table["epoch"].max()) if len(table) else 0
    finished = table[table["candidate"].isin(table.loc[table["epoch"] == last_epoch, "candidate"])]
    if finished["candidate"].nunique() < 4 or finished["seed"].nunique() < 2:
        raise SearchError(
            f"{path}: need 4 candidates with the last epoch and 2 seeds, for the surface and its "
            f"noise, got {finished['candidate'].nunique()} and {finished['seed'].nunique()}"
        )
    mean_accuracies: dict[str, dict[int, float]] = {
        str(name): {} for name in finished["candidate"].unique()
    }
    noise_deviations = {}
    for epoch in range(1, last_epoch + 1):
        accuracies = _accuracies_at(finished, epoch)
        fit = additive_model(accuracies)
        for name, value in zip(fit.rows, fit.row_effects, strict=True):
            mean_accuracies[name][epoch] = float(value)
        noise_deviations[epoch] = (float(np.std(fit.column_effects)), (fit.variance or 0.0) ** 0.5)
    first = finished.groupby("candidate").first()
    shares = {str(name): Shares(*map(float, row)) for name, row in first[SHARE_COLUMNS].iterrows()}
    median_seconds = {
        str(name): float(seconds)
        for name, seconds in finished.groupby("candidate")["seconds"].median().items()
    }
    surface_name = Path(path).parent.name or Path(path).stem
    return RecordedSurface(surface_name, mean_accuracies, shares, median_seconds, noise_deviations)


def _accuracies_at(table: pd.DataFrame, epoch: int) -> dict[str, dict[int, float]]:
    accuracies: dict[str, dict[int, float]] = {}
    rows = table[table["epoch"] == epoch]
    for name, seed, value in zip(rows["candidate"], rows["seed"], rows["accuracy"], strict=True):
        accuracies.setdefault(str(name), {})[int(seed)] = float(value)
    return accuracies


RunRows: TypeAlias = tuple[Mapping[str, Any], ...]
"""Rows of a run as training returned them, from its first epoch on."""

TRAINING_COLUMNS = (
    *("train_loss", "loss", "accuracy", "top5", "learning_rate", "micro_batch"),
    *("seconds", "images_per_second", "peak_bytes", "utilisation", "device", "commit"),
)
"""Columns that training measures at each epoch, besides seed and epoch."""


@dataclass(frozen=True)
class ReplaySurface:
    """Recorded candidates only, each with its recorded runs.

    A search's seeds are mapped to the recorded seeds in their order; each world starts with another
    one. An epoch takes the recorded time on every worker.
    """

    name: str
    runs: Mapping[str, Mapping[int, RunRows]] = field(repr=False)
    """Rows by candidate and seed."""
    asked_coefficients: Mapping[str, Coefficients] = field(repr=False)
    """Requested coefficients by candidate."""

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that every candidate was trained with."""
        common = [set(seed_runs) for seed_runs in self.runs.values()]
        return tuple(sorted(set.intersection(*common))) if common else ()

    @cached_property
    def epochs(self) -> int:
        """Number of epochs recorded for every run."""
        return min(
            (len(run) for seed_runs in self.runs.values() for run in seed_runs.values()), default=0
        )

    def for_experiment(self, experiment: Experiment) -> "ReplaySurface":
        """Keep the candidates with all seeds and epochs that the experiment needs.

        Raises SearchError if fewer than two have them.
        """
        last_epoch, seeds = experiment.rungs[-1], experiment.search.seeds
        long_runs = {
            name: {seed: run for seed, run in seed_runs.items() if len(run) >= last_epoch}
            for name, seed_runs in self.runs.items()
        }
        kept_runs = {
            name: seed_runs for name, seed_runs in long_runs.items() if len(seed_runs) >= seeds
        }
        restricted = replace(self, runs=kept_runs)
        if len(kept_runs) < 2 or len(restricted.seeds) < seeds:
            max_epochs = max(
                len(run) for seed_runs in self.runs.values() for run in seed_runs.values()
            )
            max_seeds = max(len(seed_runs) for seed_runs in self.runs.values())
            raise SearchError(
                f"{self.name}: need 2 recorded candidates with the experiment's {seeds} seeds and "
                f"{last_epoch} epochs, got {len(kept_runs)} (at most {max_seeds} seeds and "
                f"{max_epochs} epochs are recorded); reduce search.seeds and recipe.epochs with "
                "--set"
            )
        return restricted

    def require_recorded(self, experiment: Experiment) -> None:
        """Raise SearchError if an experiment needs more than is recorded for each run."""
        last_epoch, seeds = experiment.rungs[-1], experiment.search.seeds
        if last_epoch > self.epochs or seeds > len(self.seeds):
            raise SearchError(
                f"{self.name}: need at most the {len(self.seeds)} seeds and {self.epochs} epochs "
                f"that are recorded for each candidate, got {seeds} and {last_epoch}"
            )

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        """Return the mean over the recorded seeds."""
        seed_runs = self.runs[point.candidate]
        return float(sum(seed_runs[seed][epoch - 1]["accuracy"] for seed in self.seeds)) / len(
            self.seeds
        )

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        measured: float = self.epoch_row(point, run, epoch, world)["accuracy"]
        return measured - self.accuracy(point, epoch)

    def seconds(self, point: SurfacePoint) -> float:
        seed_runs = self.runs[point.candidate]
        return float(median(row["seconds"] for run in seed_runs.values() for row in run))

    def epoch_row(self, point: SurfacePoint, run: int, epoch: int, world: int) -> dict[str, Any]:
        """Return a recorded epoch as an epoch of the seed ``run``."""
        seed = self.seeds[(run + world) % len(self.seeds)]
        return {**self.runs[point.candidate][seed][epoch - 1], "seed": run, "epoch": epoch}


def load_replay(source: str | Path) -> ReplaySurface:
    """Load the runs of a search from a folder, a table, or the scaling table.

    In ``scalesearch.scaling_table()`` the search is found by its name. Raises SearchError for
    anything else.
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
            f"--table: need a search's folder, its records.csv, or one of {search_names}, "
            f"got {source}"
        )
    return replay_from_table(search_rows, str(source))


def replay_from_table(table: pd.DataFrame, name: str) -> ReplaySurface:
    """Make a replay of a table of records.

    Columns about networks and memory may be missing. A run is used up to its first missing epoch.
    """
    recorded_columns = [column for column in TRAINING_COLUMNS if column in table.columns]
    missing_values = dict.fromkeys(
        (column for column in TRAINING_COLUMNS if column not in recorded_columns), float("nan")
    )
    runs: dict[str, dict[int, RunRows]] = {}
    for key, rows in table.groupby(["candidate", "seed"]):
        candidate, seed = cast(tuple[str, int], key)
        ordered = rows.sort_values("epoch")
        unbroken = ordered[ordered["epoch"].to_numpy() == range(1, len(ordered) + 1)]
        rows_from_start = unbroken[recorded_columns].to_dict("records")
        runs.setdefault(candidate, {})[int(seed)] = tuple(
            {**missing_values, **recorded_row} for recorded_row in rows_from_start
        )
    asked_table = table.groupby("candidate")[["asked_alpha", "asked_beta", "asked_gamma"]].first()
    asked_coefficients = {
        str(key): Coefficients(*map(float, row)) for key, row in asked_table.iterrows()
    }
    return ReplaySurface(name, runs, asked_coefficients)
