"""The best candidate, how sure its accuracy is, and how the references did beside it."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.published import SCHEMES
from scalesearch.scaling import Coefficients, Multipliers, Shares


@dataclass(frozen=True, slots=True)
class Result:
    """One candidate: what it is, and its final accuracy over seeds.

    ``accuracy``: mean over seeds, a fraction. ``standard_error``: of that mean; None for one seed.
    """

    candidate: str
    role: str
    shares: Shares
    multipliers: Multipliers
    asked: Coefficients
    deviation: float
    factor: float
    macs: int
    params: int
    activations: int
    accuracy: float
    standard_error: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The best candidate by mean accuracy over seeds, and the references beside it.

    ``coefficients``: F^shares of the best, so that alpha * beta^2 * gamma^2 is the factor asked.
    """

    coefficients: Coefficients
    best: Result
    references: dict[str, Result]
    candidates: int
    epoch: int


def answer(
    records: pd.DataFrame, factor: float, *, epochs: int | None = None, seeds: int | None = None
) -> Answer:
    """The answer of a results table for a budget of ``factor``.

    Candidates that lack one of the ``epochs`` or ``seeds`` (by default, as many as any candidate
    has) are left out. Raises SearchError where none is left.
    """
    results = summary(records, epochs=epochs, seeds=seeds)
    best = results[0]
    return Answer(
        coefficients=best.shares.coefficients(factor),
        best=best,
        references={
            name: _as_reference(name, result, factor)
            for name in SCHEMES
            for result in results
            if name in result.role.split("+")
        },
        candidates=len(results),
        epoch=epochs or int(records["epoch"].max()),
    )


def summary(
    records: pd.DataFrame, *, epochs: int | None = None, seeds: int | None = None
) -> list[Result]:
    """Every finished candidate, the best first; equal means in order of their fingerprints."""
    records = records.drop_duplicates(["candidate", "seed", "epoch"])
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    last = records[records["epoch"] == (epochs or records["epoch"].max())]
    runs = last.groupby("candidate")["seed"].nunique()
    finished = last[
        last["candidate"].isin(runs[runs == (seeds or records["seed"].nunique())].index)
    ]
    if finished.empty:
        raise SearchError("records: no candidate has finished all its seeds; resume the search")
    results = [_result(str(name), rows) for name, rows in finished.groupby("candidate")]
    return sorted(results, key=lambda result: (-result.accuracy, result.candidate))


def _as_reference(name: str, result: Result, factor: float) -> Result:
    """A candidate as what it stands for: a network may play several parts."""
    asked = SCHEMES[name].coefficients(factor)
    return replace(result, asked=asked, deviation=asked.shares.distance(result.shares))


def _result(candidate: str, rows: pd.DataFrame) -> Result:
    first: dict[Any, Any] = rows.iloc[0].to_dict()
    accuracy = rows["accuracy"]
    return Result(
        candidate=candidate,
        role=first["role"],
        shares=Shares(first["depth_share"], first["width_share"], first["resolution_share"]),
        multipliers=Multipliers(first["alpha"], first["beta"], first["gamma"]),
        asked=Coefficients(first["asked_alpha"], first["asked_beta"], first["asked_gamma"]),
        deviation=first["deviation"],
        factor=first["factor"],
        macs=first["macs"],
        params=first["params"],
        activations=first["activations"],
        accuracy=float(accuracy.mean()),
        standard_error=accuracy.std(ddof=1) / len(accuracy) ** 0.5 if len(accuracy) > 1 else None,
        seeds=len(accuracy),
    )
