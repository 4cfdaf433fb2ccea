"""The state of a search: whether its driver is running, and its results so far.

Everything is read from files, so that no database is opened, wherever the study is.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

import pandas as pd

from scalesearch.analysis.summary import (
    CandidateResult,
    StoppedCandidate,
    candidate_results,
    stopped_candidates,
)
from scalesearch.errors import SearchError
from scalesearch.locks import is_locked
from scalesearch.results.records import KEY, spent_seconds
from scalesearch.results.search_folder import FolderLike, SearchFolder
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.heartbeats import current_progress
from scalesearch.search.progress import Progress, read_progress

DriverState: TypeAlias = Literal["running", "ended", "interrupted"]


@dataclass(frozen=True, slots=True)
class DriverStatus:
    """The state of a search's driver, and its last progress."""

    state: DriverState
    """``interrupted``: the search is not complete, and no driver is running."""
    progress: Progress | None
    """Without jobs if no driver is running; None if none was written."""


def driver_status(folder: FolderLike) -> DriverStatus:
    """Return the state of a search's driver, or raise SearchError."""
    search = SearchFolder.from_path(folder)
    search.require_search()
    # Read the lock first: a driver writes its last progress before it releases the lock.
    has_driver = is_locked(search.path / "lock")
    progress = read_progress(search.paths.progress)
    if has_driver:
        heartbeats = search.paths.heartbeats
        return DriverStatus("running", progress and current_progress(progress, heartbeats))
    if progress is None:  # from an older version, or without the temporary files
        has_results = (search.path / "coefficients.json").is_file()
        return DriverStatus("ended" if has_results else "interrupted", None)
    progress = replace(progress, running=(), seconds_left=None, images_per_second=0.0)
    return DriverStatus("ended" if progress.finished else "interrupted", progress)


StatusRow: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchStatus:
    """The recorded candidates and epochs of a search, and the state of its driver."""

    name: str
    sampler: str
    last_epoch: int
    """Epochs at the last rung."""
    seeds: int
    """Seeds of a candidate."""
    driver: DriverStatus
    epochs: int = 0
    """Epochs on record, over all runs."""
    seconds: float = 0.0
    """Time of these epochs and of the learning-rate sweeps."""
    results: tuple[CandidateResult, ...] = ()
    """Candidates that have the last epoch, the best first."""
    unfinished: tuple[StoppedCandidate, ...] = ()
    """Candidates that are to be trained further."""
    stopped: tuple[StoppedCandidate, ...] = ()
    """Candidates that are not."""
    failures: tuple[dict[str, Any], ...] = ()
    factor_by_candidate: Mapping[str, float] = field(default_factory=dict)
    """Cost of each candidate over the baseline's."""

    @property
    def rows(self) -> list[StatusRow]:
        """One row of scalars for each candidate: finished, unfinished, then stopped ones.

        The column ``reason`` is left out if it is empty.
        """
        rows = [*self._result_rows, *self._other_rows]
        if any(row["reason"] for row in rows):
            return rows
        return [{name: row[name] for name in row if name != "reason"} for row in rows]

    @property
    def job_rows(self) -> list[StatusRow]:
        """One row of scalars for each running job."""
        progress = self.driver.progress
        return [] if progress is None else [asdict(job) for job in progress.running]

    @property
    def document(self) -> dict[str, Any]:
        """The status as JSON values."""
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
        return [*unfinished, *(self._other_row(candidate, "stopped") for candidate in self.stopped)]

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


def search_status(folder: FolderLike) -> SearchStatus:
    """Read the state of a search. Raises SearchError if the folder holds no search."""
    search = SearchFolder.from_path(folder)
    driver, experiment = driver_status(search), search.experiment
    status = SearchStatus(
        name=experiment.name,
        sampler=experiment.search.sampler,
        last_epoch=search.last_epoch,
        seeds=len(experiment.seeds),
        driver=driver,
        failures=tuple(search.failures),
    )
    return _add_records(status, search.records) if search.paths.records.is_file() else status


def _add_records(status: SearchStatus, records: pd.DataFrame) -> SearchStatus:
    failed = {failure["candidate"] for failure in status.failures}
    succeeded = records[~records["candidate"].isin(failed)]
    try:
        results = tuple(candidate_results(succeeded, epochs=status.last_epoch))
    except SearchError:
        results = ()  # none yet
    stopped_results = (
        stopped_candidates(succeeded, epochs=status.last_epoch) if len(succeeded) else ()
    )
    finished_names = {result.candidate for result in results}
    finished_names |= {candidate.candidate for candidate in stopped_results}
    remaining = succeeded[~succeeded["candidate"].isin(finished_names)].drop_duplicates(KEY)
    unfinished = [
        _unfinished_candidate(str(name), rows) for name, rows in remaining.groupby("candidate")
    ]
    unfinished.sort(key=lambda candidate: (-candidate.epoch, -candidate.accuracy))
    return replace(
        status,
        epochs=len(records),
        seconds=spent_seconds(records),
        results=results,
        unfinished=tuple(unfinished),
        stopped=stopped_results,
        factor_by_candidate=dict(zip(records["candidate"], records["factor"], strict=True)),
    )


def _unfinished_candidate(candidate: str, rows: pd.DataFrame) -> StoppedCandidate:
    """Summarize a candidate's progress, from its seeds with the most epochs."""
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
