"""What a table tells of each candidate at the last epoch, and how surely.

A results table that may be concluded from: whole, finite, and of one opinion.

Candidates that were stopped at different epochs, on one scale.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.paired import accuracies
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError
from scalesearch.results.records import KEY

SHARES = ["depth_share", "width_share", "resolution_share"]
MIN_FINISHED = 3
"""Candidates with the last epoch before anything is told of those that were stopped."""
MIN_VARIANCE = 1e-12
"""A variance of accuracies that stands for none, and yet may be divided by."""


@dataclass(frozen=True, slots=True)
class CandidateEstimates:
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
    prediction_variance: Floats
    variance: float | None
    df: int
    runs: tuple[tuple[int, int, float], ...]

    @property
    def finished_count(self) -> int:
        return int((self.prediction_variance == 0).sum())

    @property
    def count_text(self) -> str:
        """How many there are, in words."""
        before = len(self.candidates) - self.finished_count
        more = f" and {before} that were stopped before" if before else ""
        return f"{self.finished_count} with the last epoch{more}"

    @property
    def noise_variances(self) -> Floats:
        """The variance of each value, next to nothing for the finished where it is unknown."""
        variances = np.where(
            self.prediction_variance > 0,
            self.prediction_variance,
            (self.variance or 0.0) / self.seeds,
        )
        floored: Floats = np.maximum(variances, MIN_VARIANCE)
        return floored


def candidate_estimates(
    records: pd.DataFrame, *, epochs: int | None = None, include_stopped: bool = True
) -> CandidateEstimates:
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
    table = additive_model(accuracy)
    disconnected = np.isinf(table.variance_of_difference(table.profiles, table.profiles[0]))
    if disconnected.any():
        raise SearchError(
            f"records: need seeds that connect all candidates at epoch {last}, got none between "
            f"{table.rows[0]} and {table.rows[int(disconnected.argmax())]}; train one seed on both"
        )
    names, values = list(table.rows), list(table.row_effects)
    seeds, extra = list(table.has_value.sum(axis=1)), [0.0] * len(table.rows)
    if include_stopped and len(names) >= MIN_FINISHED:
        for name, value, variance in _predictions_of_stopped(
            records, last, dict(zip(names, values, strict=True))
        ):
            names.append(name)
            values.append(value)
            seeds.append(1.0)
            # Few have the whole way behind them, and luck may make their gains look alike.
            extra.append(max(variance, table.variance or MIN_VARIANCE))
    candidate_rows = records.drop_duplicates("candidate").set_index("candidate")
    shares = candidate_rows.loc[names, SHARES].to_numpy(dtype=np.float64)
    if not np.isfinite(shares).all():
        raise SearchError("records: need finite shares for every candidate, got some that are not")
    return CandidateEstimates(
        candidates=tuple(names),
        shares=shares,
        values=np.array(values),
        seeds=np.array(seeds),
        prediction_variance=np.array(extra),
        variance=table.variance,
        df=table.df,
        runs=tuple(
            (index, table.columns.index(seed), accuracy[name][seed])
            for index, name in enumerate(table.rows)
            for seed in sorted(accuracy[name])
        ),
    )


def _predictions_of_stopped(
    records: pd.DataFrame, last: int, finished: dict[str, float]
) -> Iterator[tuple[str, float, float]]:
    """Name, predicted accuracy and its variance of each candidate that was stopped.

    By the additive model of candidates and (epoch, seed), at the epochs where some were stopped and
    at the last, whose column holds what the finished have.
    """
    stopped_rows = records[~records["candidate"].isin(finished)]
    stopped_rows = (
        stopped_rows[has_reason(stopped_rows["stopped"])]
        if "stopped" in stopped_rows
        else stopped_rows[:0]
    )
    names = set(stopped_rows["candidate"])
    if not names:
        return
    last_epochs = records[records["candidate"].isin(names)].groupby("candidate")["epoch"].max()
    relevant = records[
        records["candidate"].isin(names | set(finished)) & records["epoch"].isin(set(last_epochs))
    ]
    curves: dict[str, dict[tuple[int, int], float]] = {name: {} for name in names}
    curves |= {name: {(last, -1): value} for name, value in finished.items()}
    for epoch, rows in relevant.groupby("epoch"):
        for name, seeds in accuracies(rows, int(str(epoch))).items():
            curves[name] |= {(int(str(epoch)), seed): value for seed, value in seeds.items()}
    table = additive_model(curves)
    if table.variance is None:
        return
    final_column = np.zeros(len(table.columns))
    final_column[-1] = 1.0
    variances = table.variance * table.variance_of_difference(table.profiles, final_column)
    for name, effect, variance in zip(table.rows, table.row_effects, variances, strict=True):
        if name in names and np.isfinite(variance):
            yield name, float(effect + table.column_effects[-1]), float(variance)


NUMERIC_COLUMNS = [
    "accuracy",
    *SHARES,
    "alpha",
    "beta",
    "gamma",
    "factor",
    "macs",
    "params",
    "activations",
]
OTHER_COLUMNS = ["role", "deviation", "asked_alpha", "asked_beta", "asked_gamma"]


def validate_records(records: pd.DataFrame) -> pd.DataFrame:
    """The table in an order of its own, each run once.

    Raises SearchError for an empty table, for missing columns, for values that are missing or not
    finite, and for two rows of one (candidate, seed, epoch) that differ in accuracy.
    """
    if missing := [
        name for name in [*KEY, *NUMERIC_COLUMNS, *OTHER_COLUMNS] if name not in records.columns
    ]:
        raise SearchError(f"records: need the columns {', '.join(missing)}, which are missing")
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    for column in [*KEY, *NUMERIC_COLUMNS]:
        invalid = records[column].isna()
        if column in NUMERIC_COLUMNS:
            invalid |= ~np.isfinite(records[column].astype(float))
        if invalid.any():
            run = records.loc[invalid, KEY].iloc[0].to_dict()
            description = ", ".join(f"{key} {value}" for key, value in run.items())
            raise SearchError(
                f"records: need a finite {column} everywhere, got "
                f"{records.loc[invalid, column].iloc[0]} for {description}; throw that run away with "
                "`scalesearch invalidate`, and train it again with `resume`"
            )
    rows = records.drop_duplicates([*KEY, "accuracy"])
    if (duplicated := rows.duplicated(KEY)).any():
        run = rows.loc[duplicated, KEY].iloc[0].to_dict()
        raise SearchError(f"records: need one accuracy for each run, got two for {run}")
    return rows.sort_values(KEY, ignore_index=True)


AccuracyCurves: TypeAlias = Mapping[str, Mapping[int, float]]
"""Candidate -> epoch -> mean accuracy over its seeds."""


def imputed_accuracies(values: AccuracyCurves) -> dict[str, float]:
    """What each candidate has, or would have had, at the last epoch that any has.

    Who has it keeps its own accuracy. Others get the prediction of accuracy = candidate + epoch,
    by least squares: what they have, and what those that went on gained since. The gain is of
    candidates that were let go on for doing well, part of which was luck, so the stopped ones come
    out a little low; who is to learn from them (a sampler) errs on the safe side. Left out are
    candidates without a value, and those that share no epoch with any that went on.

    Give the epochs at which candidates were judged (rungs), not whole curves: those in between add
    nothing but time. Raises SearchError for a value that is not finite.
    """
    table = additive_model(values)
    if not table.rows:
        return {}
    last_column = np.zeros(len(table.columns))
    last_column[-1] = 1.0
    predictable = np.isfinite(table.variance_of_difference(table.profiles, last_column))
    predicted = table.row_effects + table.column_effects[-1]
    epoch = table.columns[-1]
    return {
        name: float(values[name].get(epoch, value))
        for name, value, is_connected in zip(table.rows, predicted, predictable, strict=True)
        if is_connected
    }
