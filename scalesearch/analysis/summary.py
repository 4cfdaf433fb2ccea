"""The best candidate, its standard error, and the reference networks."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from scalesearch.analysis.paired import PairedNoise, accuracies, last_epoch, paired_noise
from scalesearch.errors import SearchError
from scalesearch.results.records import KEY
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.scaling.published import SCHEMES


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """A candidate's network and its accuracy over seeds at the last epoch.

    ``accuracy``: mean over its ``seeds``, a fraction. ``standard_error``: of that mean, for
    comparisons with other candidates on the same seeds: the root of s^2 / seeds, where s^2 is the
    residual variance of the whole table of candidates and seeds. It does not include what a seed
    does to all candidates alike; between candidates with different seeds that adds to the
    difference. A single candidate has the spread of its own seeds, and None with one seed.
    ``stopped``: why it got no more seeds, "" if it was not stopped.
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
    """A candidate that was stopped before the last epoch, and is not compared.

    ``accuracy``: mean over its ``seeds`` at ``epoch``, the last one it reached. ``reason``: why it
    was stopped, for people.
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
    """The best candidate by mean accuracy over seeds, and the references.

    ``coefficients``: F^shares of the best candidate, so that alpha * beta^2 * gamma^2 is the
    budget's factor; callers with a fitted surface use those of its optimum instead.
    ``candidates``: number of candidates with the last epoch, without the ``stopped`` ones.
    """

    coefficients: Coefficients
    best: CandidateResult
    references: dict[str, CandidateResult]
    candidates: int
    epoch: int
    stopped: tuple[StoppedCandidate, ...] = ()


def summary_of_records(
    records: pd.DataFrame, factor: float, *, epochs: int | None = None, seeds: int | None = None
) -> Summary:
    """Summarize a results table for a budget of ``factor``.

    ``epochs``, ``seeds``: as in ``candidate_results``. Raises SearchError if no candidate has them.
    """
    results = candidate_results(records, epochs=epochs, seeds=seeds)
    best, last = results[0], last_epoch(records, epochs)
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
    """Return the candidates that have the last epoch with a seed, the best first.

    The best has the highest mean among the candidates with the most seeds; candidates with fewer
    seeds follow, since their means are not comparable. Ties are ordered by fingerprint.
    ``epochs``: the last epoch, by default the last that any candidate has. ``seeds``: the number
    of seeds that the best must have. Raises SearchError if no candidate has that many.
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
    """Return the candidates stopped before the last epoch, the furthest first.

    Candidates that are still to continue are not stopped. Old tables have no such column, and give
    no stopped candidates.
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
    """Return the rows of the last epoch, sorted."""
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    rows = records[records["epoch"] == (epochs or records["epoch"].max())]
    return rows.drop_duplicates(KEY).sort_values(KEY)


def _as_reference(name: str, result: CandidateResult, factor: float) -> CandidateResult:
    """Return the result of a candidate as a reference; it may have several roles."""
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
    """Return why a candidate was stopped, "" if no row says so."""
    if "stopped" not in rows:
        return ""
    return max(map(str, rows.loc[has_reason(rows["stopped"]), "stopped"]), default="")


def has_reason(reasons: pd.Series) -> pd.Series:
    """Return where a reason is given; a value missing in an older table is no reason."""
    return reasons.notna() & (reasons != "")
