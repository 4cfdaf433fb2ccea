"""How far a search is, read from its folder while it runs or long after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from scalesearch.analysis.answer import Result, Stopped, stopped, summary
from scalesearch.errors import SearchError
from scalesearch.experiment import read_experiment
from scalesearch.records import KEY, read_records, spent_seconds
from scalesearch.report.results import read_failures
from scalesearch.report.standing import Standing, standing
from scalesearch.scaling import Shares

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """Candidates and epochs on record, and whether a driver is at work.

    ``seconds``: of these epochs, and of the sweeps that found learning rates for them. ``results``:
    candidates that have the ``last`` epoch, the best first, out of ``seeds`` each. ``unfinished``:
    those that were to go on from where they are. ``stopped``: those that were not. ``factors``:
    each candidate's cost over the baseline's.
    """

    name: str
    sampler: str
    last: int
    seeds: int
    standing: Standing
    epochs: int = 0
    seconds: float = 0.0
    results: tuple[Result, ...] = ()
    unfinished: tuple[Stopped, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    failures: tuple[dict[str, Any], ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """One flat row for each candidate: results, those to go on, those that were stopped.

        Reasons are a column where there are any.
        """
        rows = [*self._result_rows, *self._other_rows]
        if any(row["reason"] for row in rows):
            return rows
        return [{name: row[name] for name in row if name != "reason"} for row in rows]

    @property
    def job_rows(self) -> list[Row]:
        """One flat row for each job in flight."""
        progress = self.standing.progress
        return [] if progress is None else [asdict(job) for job in progress.running]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        progress = self.standing.progress
        return {
            "name": self.name,
            "sampler": self.sampler,
            "state": self.standing.state,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "results": self._result_rows,
            "others": self._other_rows,
            "failures": list(self.failures),
            "progress": None if progress is None else asdict(progress),
        }

    @property
    def _result_rows(self) -> list[Row]:
        return [
            {
                **_names(one.candidate, one.role, one.shares),
                "factor": one.factor,
                "accuracy": one.accuracy,
                "standard_error": one.standard_error,
                "seeds": one.seeds,
                "epoch": self.last,
                "state": self._state(one),
                "reason": one.stopped,
            }
            for one in self.results
        ]

    @property
    def _other_rows(self) -> list[Row]:
        unfinished = [self._other_row(one, "unfinished") for one in self.unfinished]
        return [*unfinished, *(self._other_row(one, "stopped") for one in self.stopped)]

    def _other_row(self, one: Stopped, state: str) -> Row:
        return {
            **_names(one.candidate, one.role, one.shares),
            "factor": self.factors[one.candidate],
            "accuracy": one.accuracy,
            "standard_error": None,
            "seeds": one.seeds,
            "epoch": one.epoch,
            "state": state,
            "reason": one.reason,
        }

    def _state(self, one: Result) -> str:
        if one.stopped:
            return "stopped"
        return "done" if one.seeds >= self.seeds else "unfinished"


def status(folder: str | Path) -> Status:
    """The state of the search in a folder. Raises SearchError where the folder holds none."""
    folder = Path(folder)
    now = standing(folder)
    experiment = read_experiment(folder / "experiment.yaml")
    found = Status(
        name=experiment.name,
        sampler=experiment.search.sampler,
        last=experiment.rungs[-1],
        seeds=len(experiment.seeds),
        standing=now,
        failures=tuple(read_failures(folder)),
    )
    if not (folder / "records.csv").is_file():
        return found
    return _with_records(found, read_records(folder / "records.csv"))


def _with_records(found: Status, records: pd.DataFrame) -> Status:
    failed = {failure["candidate"] for failure in found.failures}
    trained = records[~records["candidate"].isin(failed)]
    try:
        results = tuple(summary(trained, epochs=found.last))
    except SearchError:
        results = ()  # none yet
    out = stopped(trained, epochs=found.last) if len(trained) else ()
    over = {one.candidate for one in results} | {one.candidate for one in out}
    rest = trained[~trained["candidate"].isin(over)].drop_duplicates(KEY)
    unfinished = [_reached(str(name), rows) for name, rows in rest.groupby("candidate")]
    return replace(
        found,
        epochs=len(records),
        seconds=spent_seconds(records),
        results=results,
        unfinished=tuple(sorted(unfinished, key=lambda one: (-one.epoch, -one.accuracy))),
        stopped=out,
        factors=dict(zip(records["candidate"], records["factor"], strict=True)),
    )


def _reached(candidate: str, rows: pd.DataFrame) -> Stopped:
    """How far a candidate is, by the seeds that came furthest."""
    last = rows[rows["epoch"] == rows["epoch"].max()]
    first: dict[Any, Any] = last.iloc[0].to_dict()
    return Stopped(
        candidate=candidate,
        role=first["role"],
        shares=Shares(first["depth_share"], first["width_share"], first["resolution_share"]),
        epoch=int(first["epoch"]),
        accuracy=float(last["accuracy"].mean()),
        seeds=len(last),
        reason="",
    )


def _names(candidate: str, role: str, shares: Shares) -> dict[str, Any]:
    return {
        "candidate": candidate,
        "role": role,
        "depth_share": shares.depth,
        "width_share": shares.width,
        "resolution_share": shares.resolution,
    }
