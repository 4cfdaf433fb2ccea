"""A surface from the results of a real search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from scalesearch.analysis.twoway import additive_model
from scalesearch.errors import SearchError
from scalesearch.records import read_records
from scalesearch.scaling import Shares
from scalesearch.search.simulator.surfaces import SimulatedNoise, SurfacePoint

NEIGHBOUR_COUNT = 3
SHARE_COLUMNS = ["depth_share", "width_share", "resolution_share"]


@dataclass(frozen=True, slots=True)
class RecordedSurface:
    """The means of recorded candidates, and noise as large as theirs at each epoch.

    A candidate that is not on record has the mean of the nearest that are, weighted by closeness;
    beyond the last epoch on record nothing changes. ``means``: accuracy by candidate and epoch;
    ``spreads``: by epoch, the standard deviation of what a seed does to all and to one.
    """

    name: str
    mean_accuracies: Mapping[str, Mapping[int, float]] = field(repr=False)
    shares: Mapping[str, Shares] = field(repr=False)
    median_seconds: Mapping[str, float] = field(repr=False)
    noise_deviations: Mapping[int, tuple[float, float]] = field(repr=False)

    @property
    def epochs(self) -> int:
        """How many are on record."""
        return max(self.noise_deviations)

    def accuracy(self, point: SurfacePoint, epoch: int) -> float:
        recorded_epoch = min(epoch, self.epochs)
        return sum(weight * self.mean_accuracies[name][recorded_epoch] for name, weight in self._nearest_weights(point).items())

    def deviation(self, point: SurfacePoint, run: int, epoch: int, world: int) -> float:
        recorded_epoch = min(epoch, self.epochs)
        seed_deviation, run_deviation = self.noise_deviations[recorded_epoch]
        # Of a noise that is told for three epochs, what it is after this one.
        scale = (recorded_epoch / 3) ** 0.5
        noise = SimulatedNoise(seed=seed_deviation * scale, run=run_deviation * scale)
        return noise.deviation(point.candidate, run, recorded_epoch, world)

    def seconds(self, point: SurfacePoint) -> float:
        return sum(weight * self.median_seconds[name] for name, weight in self._nearest_weights(point).items())

    def _nearest_weights(self, point: SurfacePoint) -> dict[str, float]:
        """Recorded candidates and their parts in a candidate, which sum to one."""
        if point.candidate in self.mean_accuracies:
            return {point.candidate: 1.0}
        distances = {name: point.shares.distance(shares) for name, shares in self.shares.items()}
        nearest = sorted(distances, key=lambda name: (distances[name], name))[:NEIGHBOUR_COUNT]
        weights = {name: 1 / (distances[name] + 1e-3) for name in nearest}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def recorded_surface(path: str | Path) -> RecordedSurface:
    """The surface of a ``records.csv``, of the candidates that have its last epoch.

    Raises SearchError for a file that is no such table, or has fewer than two seeds or four
    candidates with the last epoch.
    """
    table = read_records(path)
    last_epoch = int(table["epoch"].max()) if len(table) else 0
    finished = table[table["candidate"].isin(table.loc[table["epoch"] == last_epoch, "candidate"])]
    if finished["candidate"].nunique() < 4 or finished["seed"].nunique() < 2:
        raise SearchError(
            f"{path}: need 4 candidates with the last epoch and 2 seeds, to know the surface and "
            f"its noise, got {finished['candidate'].nunique()} and {finished['seed'].nunique()}"
        )
    mean_accuracies: dict[str, dict[int, float]] = {str(name): {} for name in finished["candidate"].unique()}
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
        str(name): float(seconds) for name, seconds in finished.groupby("candidate")["seconds"].median().items()
    }
    surface_name = Path(path).parent.name or Path(path).stem
    return RecordedSurface(surface_name, mean_accuracies, shares, median_seconds, noise_deviations)


def _accuracies_at(table: pd.DataFrame, epoch: int) -> dict[str, dict[int, float]]:
    accuracies: dict[str, dict[int, float]] = {}
    rows = table[table["epoch"] == epoch]
    for name, seed, value in zip(rows["candidate"], rows["seed"], rows["accuracy"], strict=True):
        accuracies.setdefault(str(name), {})[int(seed)] = float(value)
    return accuracies
