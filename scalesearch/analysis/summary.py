"""The best candidate, how sure its accuracy is, and how the references did beside it."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from scalesearch.analysis.paired import PairedNoise, accuracies, paired_noise
from scalesearch.errors import SearchError
from scalesearch.results.records import KEY
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.scaling.published import SCHEMES


@dataclass(frozen=True, slots=True)
class CandidateResult:
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
class StoppedCandidate:
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
class Summary:
    """The best candidate by mean accuracy over seeds, and the references beside it.

    ``coefficients``: F^shares of the best, so that alpha * beta^2 * gamma^2 is the factor asked;
    who has a surface puts its optimum's in their place.
    ``candidates``: how many have the last epoch; the ``stopped`` are not among them.
    """

    coefficients: Coefficients
    best: CandidateResult
    references: dict[str, CandidateResult]
    candidates: int
    epoch: int
    stopped: tuple[StoppedCandidate, ...] = ()


def summarize(
    records: pd.DataFrame, factor: float, *, epochs: int | None = None, seeds: int | None = None
) -> Summary:
    """The answer of a results table for a budget of ``factor``.

    ``epochs``, ``seeds``: as in ``summary``. Raises SearchError where no candidate has them.
    """
    results = candidate_results(records, epochs=epochs, seeds=seeds)
    best, last = results[0], epochs or int(records["epoch"].max())
    return Summary(
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
        stopped=stopped_candidates(records, epochs=last),
    )


def candidate_results(
    records: pd.DataFrame, *, epochs: int | None = None, seeds: int | None = None
) -> list[CandidateResult]:
    """Every candidate that has the last epoch with at least one seed, the best first.

    The best has the highest mean among those with the most seeds, since a mean over fewer is not to
    be compared with it; candidates with fewer seeds follow. Equal means are in order of their
    fingerprints. ``epochs``: the last epoch, by default the last that any candidate has. ``seeds``:
    how many the best has to have. Raises SearchError where none has so many.
    """
    last = _final_rows(records, epochs)
    accuracy = accuracies(last, int(last["epoch"].iloc[0])) if len(last) else {}
    max_seeds = max(map(len, accuracy.values()), default=0)
    if max_seeds < max(1, seeds or 1):
        raise SearchError("records: no candidate has finished all its seeds; resume the search")
    noise = paired_noise(accuracy)
    results = [
        _candidate_result(str(name), rows, noise) for name, rows in last.groupby("candidate")
    ]
    return sorted(results, key=lambda result: (-result.seeds, -result.accuracy, result.candidate))


def stopped_candidates(
    records: pd.DataFrame, *, epochs: int | None = None
) -> tuple[StoppedCandidate, ...]:
    """The candidates that were stopped before the last epoch: those that came furthest first.

    Those that are still to go on, and old tables, which do not tell, have none.
    """
    if "stopped" not in records:
        return ()
    finished = set(_final_rows(records, epochs)["candidate"])
    names = set(records.loc[has_reason(records["stopped"]), "candidate"]) - finished
    unfinished_rows = records[records["candidate"].isin(names)].drop_duplicates(KEY)
    candidates = [
        _stopped_candidate(str(name), rows) for name, rows in unfinished_rows.groupby("candidate")
    ]
    return tuple(
        sorted(
            candidates,
            key=lambda candidate: (-candidate.epoch, -candidate.accuracy, candidate.candidate),
        )
    )


def _final_rows(records: pd.DataFrame, epochs: int | None) -> pd.DataFrame:
    """The rows of the last epoch, in an order of their own."""
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    rows = records[records["epoch"] == (epochs or records["epoch"].max())]
    return rows.drop_duplicates(KEY).sort_values(KEY)


def _as_reference(name: str, result: CandidateResult, factor: float) -> CandidateResult:
    """A candidate as what it stands for: a network may play several parts."""
    asked = SCHEMES[name].coefficients(factor)
    return replace(result, asked=asked, deviation=asked.shares.distance(result.shares))


def _candidate_result(candidate: str, rows: pd.DataFrame, noise: PairedNoise) -> CandidateResult:
    row: dict[Any, Any] = rows.iloc[0].to_dict()
    accuracy = rows["accuracy"]
    error = noise.standard_error(len(accuracy))
    if error is None and len(accuracy) > 1:
        error = float(accuracy.std(ddof=1)) / len(accuracy) ** 0.5
    return CandidateResult(
        candidate=candidate,
        role=row["role"],
        shares=_shares(row),
        multipliers=Multipliers(row["alpha"], row["beta"], row["gamma"]),
        asked=Coefficients(row["asked_alpha"], row["asked_beta"], row["asked_gamma"]),
        deviation=row["deviation"],
        factor=row["factor"],
        macs=row["macs"],
        params=row["params"],
        activations=row["activations"],
        accuracy=float(accuracy.mean()),
        standard_error=error,
        seeds=len(accuracy),
        stopped=_stop_reason(rows),
    )


def _stopped_candidate(candidate: str, rows: pd.DataFrame) -> StoppedCandidate:
    reached = rows[rows["epoch"] == rows["epoch"].max()].sort_values("seed")
    row: dict[Any, Any] = reached.iloc[0].to_dict()
    return StoppedCandidate(
        candidate=candidate,
        role=row["role"],
        shares=_shares(row),
        epoch=int(row["epoch"]),
        accuracy=float(reached["accuracy"].mean()),
        seeds=len(reached),
        reason=_stop_reason(rows),
    )


def _shares(row: dict[Any, Any]) -> Shares:
    return Shares(row["depth_share"], row["width_share"], row["resolution_share"])


def _stop_reason(rows: pd.DataFrame) -> str:
    """Why a candidate was stopped, wherever its rows tell; "" where none does."""
    if "stopped" not in rows:
        return ""
    return max(map(str, rows.loc[has_reason(rows["stopped"]), "stopped"]), default="")


def has_reason(reasons: pd.Series) -> pd.Series:
    """Where a reason stands; what is missing in an older table is no reason."""
    return reasons.notna() & (reasons != "")
