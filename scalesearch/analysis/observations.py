"""Estimated accuracy of each candidate at the last epoch, with its variance.

Also: the validation of a results table before conclusions are drawn from it, and the imputed
accuracy at the last epoch of candidates that were stopped at different epochs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.paired import accuracies, last_epoch
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError
from scalesearch.results.records import KEY

SHARES = ["depth_share", "width_share", "resolution_share"]
MIN_FINISHED = 3
"""Fewest candidates with the last epoch before stopped candidates are predicted."""
MIN_VARIANCE = 1e-12
"""Stands for a variance of zero where a division needs one above zero."""


@dataclass(frozen=True, slots=True)
class CandidateEstimates:
    """Estimates by candidate: finished ones first, then stopped ones, sorted by name.

    ``values``: accuracy at the last epoch in the mean seed (seed effects are removed by least
    squares). ``seeds``: number of runs behind each value. ``prediction_variance``: variance of the
    predicted value of a stopped candidate, including noise; 0 for finished candidates.
    ``variance``: variance of one paired run with ``df`` degrees of freedom, None for a single
    seed. ``runs``: (candidate index, seed index, accuracy) of the finished candidates, for the
    lack-of-fit test.
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
        """The number of candidates in words."""
        stopped_count = len(self.candidates) - self.finished_count
        more = f" and {stopped_count} that were stopped before" if stopped_count else ""
        return f"{self.finished_count} with the last epoch{more}"

    @property
    def noise_variances(self) -> Floats:
        """The variance of each value; ``MIN_VARIANCE`` for finished candidates if unknown."""
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
    """Estimate the accuracy of the candidates of a results table at the last epoch.

    Candidates need the last epoch with at least one seed. ``epochs``: the last epoch, by default
    the table's. ``include_stopped``: also predict candidates that were stopped before, by accuracy
    = candidate + (seed, epoch), if at least ``MIN_FINISHED`` candidates reached the last epoch.
    The order of rows, repeated rows and further columns change nothing. Raises SearchError for an
    empty table, for shares or accuracies that are not finite, and for candidates that no seeds
    connect, even indirectly.
    """
    last = last_epoch(records, epochs)
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
            # Few candidates are finished, and by luck their gains may look too much alike.
            extra.append(max(variance, table.variance or MIN_VARIANCE))
    return CandidateEstimates(
        candidates=tuple(names),
        shares=shares_of_candidates(records, names),
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


def shares_of_candidates(records: pd.DataFrame, names: Sequence[str]) -> Floats:
    """Return the shares (N, 3) of the candidates with these names.

    Raises SearchError for shares that are not finite.
    """
    candidate_rows = records.drop_duplicates("candidate").set_index("candidate")
    shares: Floats = candidate_rows.loc[list(names), SHARES].to_numpy(dtype=np.float64)
    if not np.isfinite(shares).all():
        raise SearchError("records: need finite shares for every candidate, got some that are not")
    return shares


def _predictions_of_stopped(
    records: pd.DataFrame, last: int, finished: dict[str, float]
) -> Iterator[tuple[str, float, float]]:
    """Yield name, predicted accuracy and its variance of each stopped candidate.

    The additive model of candidates and (epoch, seed) covers the epochs at which candidates were
    stopped, and the last epoch, whose column holds the values of the finished candidates.
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
    """Return the table sorted, with each run once.

    Raises SearchError for an empty table, missing columns, values that are missing or not finite,
    and two rows of one (candidate, seed, epoch) with different accuracies.
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
                f"{records.loc[invalid, column].iloc[0]} for {description}; remove that run with "
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
    """Return each candidate's accuracy at the last epoch, measured or predicted.

    A candidate with the last epoch keeps its own accuracy. Others get the least-squares prediction
    of accuracy = candidate + epoch: their own accuracy plus what the candidates that continued
    gained since. Candidates continue for doing well, which is partly luck, so their gains look
    smaller and the predictions are a little low; a sampler that learns from them errs on the safe
    side. Candidates without a value are left out, and so are those that share no epoch with any
    candidate that continued.

    Pass the epochs at which candidates are compared (rungs), not whole curves: the epochs in
    between only cost time. Raises SearchError for a value that is not finite.
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
