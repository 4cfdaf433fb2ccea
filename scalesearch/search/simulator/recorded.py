"""A surface from the results of a real search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from scalesearch.analysis.twoway import two_way
from scalesearch.errors import SearchError
from scalesearch.records import read_records
from scalesearch.scaling import Shares
from scalesearch.search.simulator.surfaces import Noise, Point

NEIGHBOURS = 3
AXES = ["depth_share", "width_share", "resolution_share"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The means of recorded candidates, and noise as large as theirs at each epoch.

    A candidate that is not on record has the mean of the nearest that are, weighted by closeness;
    beyond the last epoch on record nothing changes. ``means``: accuracy by candidate and epoch;
    ``spreads``: by epoch, the standard deviation of what a seed does to all and to one.
    """

    name: str
    means: Mapping[str, Mapping[int, float]] = field(repr=False)
    shares: Mapping[str, Shares] = field(repr=False)
    paces: Mapping[str, float] = field(repr=False)
    spreads: Mapping[int, tuple[float, float]] = field(repr=False)

    @property
    def epochs(self) -> int:
        """How many are on record."""
        return max(self.spreads)

    def accuracy(self, point: Point, epoch: int) -> float:
        known = min(epoch, self.epochs)
        return sum(part * self.means[name][known] for name, part in self._near(point).items())

    def deviation(self, point: Point, run: int, epoch: int, chance: int) -> float:
        known = min(epoch, self.epochs)
        seed, own = self.spreads[known]
        # Of a noise that is told for three epochs, what it is after this one.
        told = (known / 3) ** 0.5
        noise = Noise(seed=seed * told, run=own * told)
        return noise.deviation(point.candidate, run, known, chance)

    def seconds(self, point: Point) -> float:
        return sum(part * self.paces[name] for name, part in self._near(point).items())

    def _near(self, point: Point) -> dict[str, float]:
        """Recorded candidates and their parts in a candidate, which sum to one."""
        if point.candidate in self.means:
            return {point.candidate: 1.0}
        distances = {name: point.shares.distance(at) for name, at in self.shares.items()}
        nearest = sorted(distances, key=lambda name: (distances[name], name))[:NEIGHBOURS]
        weights = {name: 1 / (distances[name] + 1e-3) for name in nearest}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def recorded(path: str | Path) -> Recorded:
    """The surface of a ``records.csv``, of the candidates that have its last epoch.

    Raises SearchError for a file that is no such table, or has fewer than two seeds or four
    candidates with the last epoch.
    """
    table = read_records(path)
    last = int(table["epoch"].max()) if len(table) else 0
    done = table[table["candidate"].isin(table.loc[table["epoch"] == last, "candidate"])]
    if done["candidate"].nunique() < 4 or done["seed"].nunique() < 2:
        raise SearchError(
            f"{path}: need 4 candidates with the last epoch and 2 seeds, to know the surface and "
            f"its noise, got {done['candidate'].nunique()} and {done['seed'].nunique()}"
        )
    means: dict[str, dict[int, float]] = {str(name): {} for name in done["candidate"].unique()}
    spreads = {}
    for epoch in range(1, last + 1):
        found = _values(done, epoch)
        fit = two_way(found)
        for name, value in zip(fit.rows, fit.row_effects, strict=True):
            means[name][epoch] = float(value)
        spreads[epoch] = (float(np.std(fit.column_effects)), (fit.variance or 0.0) ** 0.5)
    first = done.groupby("candidate").first()
    shares = {str(name): Shares(*map(float, row)) for name, row in first[AXES].iterrows()}
    paces = {
        str(name): float(s) for name, s in done.groupby("candidate")["seconds"].median().items()
    }
    named = Path(path).parent.name or Path(path).stem
    return Recorded(named, means, shares, paces, spreads)


def _values(table: pd.DataFrame, epoch: int) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    rows = table[table["epoch"] == epoch]
    for name, seed, value in zip(rows["candidate"], rows["seed"], rows["accuracy"], strict=True):
        found.setdefault(str(name), {})[int(seed)] = float(value)
    return found
