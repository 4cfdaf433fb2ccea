"""Whether a driver is at work in a folder, and how far it last said it was.

Progress and news are files, so that no ledger is opened, whatever holds the study.

How far a search is, read from its folder while it runs or long after.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd

from scalesearch.analysis.summary import (
    CandidateResult,
    StoppedCandidate,
    candidate_results,
    stopped_candidates,
)
from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.locks import is_locked
from scalesearch.reporting.update import read_failures
from scalesearch.results.records import KEY, read_records, spent_seconds
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.heartbeats import current_progress
from scalesearch.search.progress_file import Progress, read_progress

DriverState: TypeAlias = Literal["running", "ended", "interrupted"]


@dataclass(frozen=True, slots=True)
class DriverStatus:
    """``progress``: as it is now; without jobs where none is running, None where nobody told any.

    ``interrupted``: there is more to do, and no driver does it.
    """

    state: DriverState
    progress: Progress | None


def driver_status(folder: str | Path) -> DriverStatus:
    """Of the search in a folder. Raises SearchError where the folder holds none."""
    folder = Path(folder)
    if not (folder / "experiment.yaml").is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    # In this order: a driver that ends in between has told so before it let go of the lock.
    has_driver = is_locked(folder / "lock")
    progress = read_progress(folder / "progress.json")
    if has_driver:
        return DriverStatus("running", progress and current_progress(progress, folder / "news"))
    if progress is None:  # of an older version, or a folder without its passing files
        has_results = (folder / "coefficients.json").is_file()
        return DriverStatus("ended" if has_results else "interrupted", None)
    progress = replace(progress, running=(), seconds_left=None, images_per_second=0.0)
    return DriverStatus("ended" if progress.finished else "interrupted", progress)


StatusRow: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchStatus:
    """Candidates and epochs on record, and whether a driver is at work.

    ``seconds``: of these epochs, and of the sweeps that found learning rates for them. ``results``:
    candidates that have the ``last`` epoch, the best first, out of ``seeds`` each. ``unfinished``:
    those that were to go on from where they are. ``stopped``: those that were not. ``factors``:
    each candidate's cost over the baseline's.
    """

    name: str
    sampler: str
    last_epoch: int
    seeds: int
    driver: DriverStatus
    epochs: int = 0
    seconds: float = 0.0
    results: tuple[CandidateResult, ...] = ()
    unfinished: tuple[StoppedCandidate, ...] = ()
    stopped: tuple[StoppedCandidate, ...] = ()
    failures: tuple[dict[str, Any], ...] = ()
    factor_by_candidate: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> list[StatusRow]:
        """One flat row for each candidate: results, those to go on, those that were stopped.

        Reasons are a column where there are any.
        """
        rows = [*self._result_rows, *self._other_rows]
        if any(row["reason"] for row in rows):
            return rows
        return [{name: row[name] for name in row if name != "reason"} for row in rows]

    @property
    def job_rows(self) -> list[StatusRow]:
        """One flat row for each job in flight."""
        progress = self.driver.progress
        return [] if progress is None else [asdict(job) for job in progress.running]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        progress = self.driver.progress
        return {
            "name": self.name,
            "sampler": self.sampler,
            "state": self.driver.state,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "results": self._result_rows,
            "others": self._other_rows,
            "failures": list(self.failures),
            "progress": None if progress is None else asdict(progress),
        }

    @property
    def _result_rows(self) -> list[StatusRow]:
        return [
            {
                **_candidate_columns(result.candidate, result.role, result.shares),
                "factor": result.factor,
                "accuracy": result.accuracy,
                "standard_error": result.standard_error,
                "seeds": result.seeds,
                "epoch": self.last_epoch,
                "state": self._state_of(result),
                "reason": result.stopped,
            }
            for result in self.results
        ]

    @property
    def _other_rows(self) -> list[StatusRow]:
        unfinished = [self._other_row(candidate, "unfinished") for candidate in self.unfinished]
        return [*unfinished, *(self._other_row(one, "stopped") for one in self.stopped)]

    def _other_row(self, candidate: StoppedCandidate, state: str) -> StatusRow:
        return {
            **_candidate_columns(candidate.candidate, candidate.role, candidate.shares),
            "factor": self.factor_by_candidate[candidate.candidate],
            "accuracy": candidate.accuracy,
            "standard_error": None,
            "seeds": candidate.seeds,
            "epoch": candidate.epoch,
            "state": state,
            "reason": candidate.reason,
        }

    def _state_of(self, result: CandidateResult) -> str:
        if result.stopped:
            return "stopped"
        return "done" if result.seeds >= self.seeds else "unfinished"


def search_status(folder: str | Path) -> SearchStatus:
    """The state of the search in a folder. Raises SearchError where the folder holds none."""
    folder = Path(folder)
    driver = driver_status(folder)
    experiment = read_experiment(folder / "experiment.yaml")
    search = SearchStatus(
        name=experiment.name,
        sampler=experiment.search.sampler,
        last_epoch=experiment.rungs[-1],
        seeds=len(experiment.seeds),
        driver=driver,
        failures=tuple(read_failures(folder)),
    )
    if not (folder / "records.csv").is_file():
        return search
    return _add_records(search, read_records(folder / "records.csv"))


def _add_records(search: SearchStatus, records: pd.DataFrame) -> SearchStatus:
    failed = {failure["candidate"] for failure in search.failures}
    succeeded = records[~records["candidate"].isin(failed)]
    try:
        results = tuple(candidate_results(succeeded, epochs=search.last_epoch))
    except SearchError:
        results = ()  # none yet
    stopped_results = (
        stopped_candidates(succeeded, epochs=search.last_epoch) if len(succeeded) else ()
    )
    finished_names = {candidate.candidate for candidate in results} | {
        one.candidate for one in stopped_results
    }
    remaining = succeeded[~succeeded["candidate"].isin(finished_names)].drop_duplicates(KEY)
    unfinished = [
        _unfinished_candidate(str(name), rows) for name, rows in remaining.groupby("candidate")
    ]
    return replace(
        search,
        epochs=len(records),
        seconds=spent_seconds(records),
        results=results,
        unfinished=tuple(sorted(unfinished, key=lambda one: (-one.epoch, -one.accuracy))),
        stopped=stopped_results,
        factor_by_candidate=dict(zip(records["candidate"], records["factor"], strict=True)),
    )


def _unfinished_candidate(candidate: str, rows: pd.DataFrame) -> StoppedCandidate:
    """How far a candidate is, by the seeds that came furthest."""
    last_rows = rows[rows["epoch"] == rows["epoch"].max()]
    first_row: dict[Any, Any] = last_rows.iloc[0].to_dict()
    return StoppedCandidate(
        candidate=candidate,
        role=first_row["role"],
        shares=Shares(
            first_row["depth_share"], first_row["width_share"], first_row["resolution_share"]
        ),
        epoch=int(first_row["epoch"]),
        accuracy=float(last_rows["accuracy"].mean()),
        seeds=len(last_rows),
        reason="",
    )


def _candidate_columns(candidate: str, role: str, shares: Shares) -> dict[str, Any]:
    return {
        "candidate": candidate,
        "role": role,
        "depth_share": shares.depth,
        "width_share": shares.width,
        "resolution_share": shares.resolution,
    }
