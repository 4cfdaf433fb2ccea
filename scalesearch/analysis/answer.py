"""The best candidate, how sure its accuracy is, and how the references did beside it."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from scalesearch.analysis.pairs import Paired, accuracies, paired
from scalesearch.errors import SearchError
from scalesearch.published import SCHEMES
from scalesearch.records import KEY
from scalesearch.scaling import Coefficients, Multipliers, Shares


@dataclass(frozen=True, slots=True)
class Result:
    """One candidate: what it is, and its accuracy over seeds at the last epoch.

    ``accuracy``: mean over its ``seeds``, a fraction. ``standard_error``: of that mean, for
    comparing it with other candidates on the same seeds: the root of s^2 / seeds, where s^2 is the
    residual variance of the whole table of candidates and seeds. What a seed does to all candidates
    alike is therefore not in it; a candidate with fewer seeds than another differs by that, too.
    A candidate that has no others beside it has the spread of its own seeds, and one seed alone
    none (None). ``stopped``: why it was given no more seeds, "" where it was not stopped.
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
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A candidate that was stopped before the last epoch, and so is not compared.

    ``accuracy``: mean over its ``seeds`` at ``epoch``, the last it reached. ``reason``: in words.
    """

    candidate: str
    role: str
    shares: Shares
    epoch: int
    accuracy: float
    seeds: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The best candidate by mean accuracy over seeds, and the references beside it.

    ``coefficients``: F^shares of the best, so that alpha * beta^2 * gamma^2 is the factor asked;
    who has a surface puts its optimum's in their place.
    ``candidates``: how many have the last epoch; the ``stopped`` are not among them.
    """

    coefficients: Coefficients
    best: Result
    references: dict[str, Result]
    candidates: int
    epoch: int
    stopped: tuple[Stopped, ...] = ()


def answer(
    records: pd.DataFrame, factor: float, *, epochs: int | None = None, seeds: int | None = None
) -> Answer:
    """The answer of a results table for a budget of ``factor``.

    ``epochs``, ``seeds``: as in ``summary``. Raises SearchError where no candidate has them.
    """
    results = summary(records, epochs=epochs, seeds=seeds)
    best, last = results[0], epochs or int(records["epoch"].max())
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
        epoch=last,
        stopped=stopped(records, epochs=last),
    )


def summary(
    records: pd.DataFrame, *, epochs: int | None = None, seeds: int | None = None
) -> list[Result]:
    """Every candidate that has the last epoch with at least one seed, the best first.

    The best has the highest mean among those with the most seeds, since a mean over fewer is not to
    be compared with it; candidates with fewer seeds follow. Equal means are in order of their
    fingerprints. ``epochs``: the last epoch, by default the last that any candidate has. ``seeds``:
    how many the best has to have. Raises SearchError where none has so many.
    """
    last = _last(records, epochs)
    accuracy = accuracies(last, int(last["epoch"].iloc[0])) if len(last) else {}
    most = max(map(len, accuracy.values()), default=0)
    if most < max(1, seeds or 1):
        raise SearchError("records: no candidate has finished all its seeds; resume the search")
    noise = paired(accuracy)
    results = [_result(str(name), rows, noise) for name, rows in last.groupby("candidate")]
    return sorted(results, key=lambda one: (-one.seeds, -one.accuracy, one.candidate))


def stopped(records: pd.DataFrame, *, epochs: int | None = None) -> tuple[Stopped, ...]:
    """The candidates that were stopped before the last epoch: those that came furthest first.

    Those that are still to go on, and old tables, which do not tell, have none.
    """
    if "stopped" not in records:
        return ()
    done = set(_last(records, epochs)["candidate"])
    names = set(records.loc[told(records["stopped"]), "candidate"]) - done
    rest = records[records["candidate"].isin(names)].drop_duplicates(KEY)
    found = [_stopped(str(name), rows) for name, rows in rest.groupby("candidate")]
    return tuple(sorted(found, key=lambda one: (-one.epoch, -one.accuracy, one.candidate)))


def _last(records: pd.DataFrame, epochs: int | None) -> pd.DataFrame:
    """The rows of the last epoch, in an order of their own."""
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    rows = records[records["epoch"] == (epochs or records["epoch"].max())]
    return rows.drop_duplicates(KEY).sort_values(KEY)


def _as_reference(name: str, result: Result, factor: float) -> Result:
    """A candidate as what it stands for: a network may play several parts."""
    asked = SCHEMES[name].coefficients(factor)
    return replace(result, asked=asked, deviation=asked.shares.distance(result.shares))


def _result(candidate: str, rows: pd.DataFrame, noise: Paired) -> Result:
    first: dict[Any, Any] = rows.iloc[0].to_dict()
    accuracy = rows["accuracy"]
    error = noise.standard_error(len(accuracy))
    if error is None and len(accuracy) > 1:
        error = float(accuracy.std(ddof=1)) / len(accuracy) ** 0.5
    return Result(
        candidate=candidate,
        role=first["role"],
        shares=_shares(first),
        multipliers=Multipliers(first["alpha"], first["beta"], first["gamma"]),
        asked=Coefficients(first["asked_alpha"], first["asked_beta"], first["asked_gamma"]),
        deviation=first["deviation"],
        factor=first["factor"],
        macs=first["macs"],
        params=first["params"],
        activations=first["activations"],
        accuracy=float(accuracy.mean()),
        standard_error=error,
        seeds=len(accuracy),
        stopped=_reason(rows),
    )


def _stopped(candidate: str, rows: pd.DataFrame) -> Stopped:
    reached = rows[rows["epoch"] == rows["epoch"].max()].sort_values("seed")
    first: dict[Any, Any] = reached.iloc[0].to_dict()
    return Stopped(
        candidate=candidate,
        role=first["role"],
        shares=_shares(first),
        epoch=int(first["epoch"]),
        accuracy=float(reached["accuracy"].mean()),
        seeds=len(reached),
        reason=_reason(rows),
    )


def _shares(row: dict[Any, Any]) -> Shares:
    return Shares(row["depth_share"], row["width_share"], row["resolution_share"])


def _reason(rows: pd.DataFrame) -> str:
    """Why a candidate was stopped, wherever its rows tell; "" where none does."""
    if "stopped" not in rows:
        return ""
    return max(map(str, rows.loc[told(rows["stopped"]), "stopped"]), default="")


def told(reasons: pd.Series) -> pd.Series:
    """Where a reason stands; what is missing in an older table is no reason."""
    return reasons.notna() & (reasons != "")
