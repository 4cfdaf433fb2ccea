"""What a table tells of each candidate at the last epoch, and how surely."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalesearch.analysis.answer import told
from scalesearch.analysis.pairs import accuracies
from scalesearch.analysis.twoway import Floats, two_way
from scalesearch.errors import SearchError

SHARES = ["depth_share", "width_share", "resolution_share"]
FEWEST = 3
"""Candidates with the last epoch before anything is told of those that were stopped."""
TINY = 1e-12
"""A variance of accuracies that stands for none, and yet may be divided by."""


@dataclass(frozen=True, slots=True)
class Observations:
    """Candidates, finished ones first, each kind by name; the arrays follow them.

    ``values``: accuracy at the last epoch in the mean seed: seeds, which move all alike, are taken
    out by least squares. ``seeds``: runs behind it. ``extra``: for those that were stopped before,
    the variance of the prediction from where they stopped, noise and all; 0 for the finished.
    ``variance``: of one run, paired, with ``df`` degrees of freedom; None for a single seed.
    ``runs``: (candidate, seed, accuracy) of the finished, for the test of fit.
    """

    candidates: tuple[str, ...]
    shares: Floats
    values: Floats
    seeds: Floats
    extra: Floats
    variance: float | None
    df: int
    runs: tuple[tuple[int, int, float], ...]

    @property
    def finished(self) -> int:
        return int((self.extra == 0).sum())

    @property
    def counted(self) -> str:
        """How many there are, in words."""
        before = len(self.candidates) - self.finished
        more = f" and {before} that were stopped before" if before else ""
        return f"{self.finished} with the last epoch{more}"

    @property
    def noise(self) -> Floats:
        """The variance of each value, next to nothing for the finished where it is unknown."""
        known = np.where(self.extra > 0, self.extra, (self.variance or 0.0) / self.seeds)
        floored: Floats = np.maximum(known, TINY)
        return floored


def observations(
    records: pd.DataFrame, *, epochs: int | None = None, stopped: bool = True
) -> Observations:
    """The candidates of a results table that have the last epoch with at least one seed.

    ``epochs``: the last, by default the last of the table. ``stopped``: also those that were
    stopped before, predicted by accuracy = candidate + (seed and epoch), where at least ``FEWEST``
    candidates went on to the end. Order of rows, repeated rows and further columns change nothing.
    Raises SearchError for an empty table, for shares or accuracies that are not finite, and for
    candidates that no seeds connect, however indirectly.
    """
    last = epochs or (int(records["epoch"].max()) if len(records) else 0)
    final = records[records["epoch"] == last]
    if final.empty:
        raise SearchError(f"records: need candidates with epoch {last}, got none; run the search")
    accuracy = accuracies(final, last)
    table = two_way(accuracy)
    apart = np.isinf(table.variance_of_difference(table.profiles, table.profiles[0]))
    if apart.any():
        raise SearchError(
            f"records: need seeds that connect all candidates at epoch {last}, got none between "
            f"{table.rows[0]} and {table.rows[int(apart.argmax())]}; train one seed on both"
        )
    names, values = list(table.rows), list(table.row_effects)
    seeds, extra = list(table.filled.sum(axis=1)), [0.0] * len(table.rows)
    if stopped and len(names) >= FEWEST:
        for name, value, variance in _stopped(records, last, dict(zip(names, values, strict=True))):
            names.append(name)
            values.append(value)
            seeds.append(1.0)
            # Few have the whole way behind them, and luck may make their gains look alike.
            extra.append(max(variance, table.variance or TINY))
    first = records.drop_duplicates("candidate").set_index("candidate")
    shares = first.loc[names, SHARES].to_numpy(dtype=np.float64)
    if not np.isfinite(shares).all():
        raise SearchError("records: need finite shares for every candidate, got some that are not")
    return Observations(
        candidates=tuple(names),
        shares=shares,
        values=np.array(values),
        seeds=np.array(seeds),
        extra=np.array(extra),
        variance=table.variance,
        df=table.df,
        runs=tuple(
            (index, table.columns.index(seed), accuracy[name][seed])
            for index, name in enumerate(table.rows)
            for seed in sorted(accuracy[name])
        ),
    )


def _stopped(
    records: pd.DataFrame, last: int, finished: dict[str, float]
) -> Iterator[tuple[str, float, float]]:
    """Name, predicted accuracy and its variance of each candidate that was stopped.

    By the additive model of candidates and (epoch, seed), at the epochs where some were stopped and
    at the last, whose column holds what the finished have.
    """
    early = records[~records["candidate"].isin(finished)]
    early = early[told(early["stopped"])] if "stopped" in early else early[:0]
    names = set(early["candidate"])
    if not names:
        return
    ends = records[records["candidate"].isin(names)].groupby("candidate")["epoch"].max()
    concerned = records[
        records["candidate"].isin(names | set(finished)) & records["epoch"].isin(set(ends))
    ]
    curves: dict[str, dict[tuple[int, int], float]] = {name: {} for name in names}
    curves |= {name: {(last, -1): value} for name, value in finished.items()}
    for epoch, rows in concerned.groupby("epoch"):
        for name, seeds in accuracies(rows, int(str(epoch))).items():
            curves[name] |= {(int(str(epoch)), seed): value for seed, value in seeds.items()}
    table = two_way(curves)
    if table.variance is None:
        return
    final = np.zeros(len(table.columns))
    final[-1] = 1.0
    variances = table.variance * table.variance_of_difference(table.profiles, final)
    for name, effect, variance in zip(table.rows, table.row_effects, variances, strict=True):
        if name in names and np.isfinite(variance):
            yield name, float(effect + table.column_effects[-1]), float(variance)
