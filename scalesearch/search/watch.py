"""How far an engine is, for people."""

import time
from collections.abc import Callable
from typing import TypeAlias

from scipy.special import stdtrit

from scalesearch.analysis.pairs import paired
from scalesearch.search.engine import Engine
from scalesearch.search.folder import Folder
from scalesearch.search.news import present
from scalesearch.search.notebook import Notebook
from scalesearch.search.progress import Best, Progress, Rung, Running
from scalesearch.search.rehearsal import rehearsed
from scalesearch.search.runners import Rules
from scalesearch.search.schedule import Schedule

OnProgress: TypeAlias = Callable[[Progress], None]
SECONDS_BETWEEN = 0.25
QUANTILE_90 = 0.95
"""Of Student's t, for a two-sided interval of 90%."""


class Watch:
    """Tells how far an engine is, from when it is made: at most four times a second."""

    def __init__(self, engine: Engine, folder: Folder, on_progress: OnProgress | None) -> None:
        self.engine = engine
        self.news = folder.news
        self.notebook = Notebook(folder)
        self.on_progress = on_progress
        self.began = time.monotonic()
        self.due = self.began
        self.most = most_epochs(engine)

    def tell(self, *, last: bool = False, finished: bool = False) -> None:
        """Write it down for who looks on, and call who asked. ``last``: whatever was told before.
        ``finished``: the search is over, and not to be resumed."""
        now = time.monotonic()
        if now < self.due and not last:
            return
        seconds = now - self.began
        told = present(
            progress_of(self.engine, self.most, seconds=seconds, finished=finished), self.news
        )
        self.notebook.progress(told, always=last)
        if self.on_progress:
            self.on_progress(told)
        self.due = time.monotonic() + SECONDS_BETWEEN


def progress_of(engine: Engine, most: int, *, seconds: float, finished: bool = False) -> Progress:
    """What the engine knows. ``most``: epochs that the search takes at most; ``seconds``: since
    this driver began to train."""
    done = engine.enough.epochs
    total = max(most, done)
    states = [runner.state for runner in engine.schedule.runners.values()]
    new = done - engine.resumed
    return Progress(
        name=engine.experiment.name,
        epochs_done=done,
        epochs_total=done if finished else total,
        rungs=_rungs(engine),
        running=tuple(
            Running(flight.job.name, "", engine.crew.now() - flight.since)
            for flight in engine.flights.values()
        ),
        best=_best(engine),
        seconds_left=seconds / new * (total - done) if new else None,
        stopped=states.count("stopped"),
        failures=dict(engine.failed),
        finished=finished,
        ended=engine.enough.reason,
        at=time.time(),
    )


def most_epochs(engine: Engine) -> int:
    """Epochs that a search takes if no rung is tied, nothing fails and the race drops nobody."""
    empty = Schedule(engine.schedule.rules)
    played = rehearsed(empty, engine.source, engine.crew.slots, lambda place: 1.0)
    return sum(stage.trained for stage in played.stages)


def _rungs(engine: Engine) -> tuple[Rung, ...]:
    rules: Rules = engine.schedule.rules
    runners = engine.schedule.runners.values()
    found = []
    for rung in rules.rungs:
        bound = [
            r for r in runners if max(r.goal.values(), default=0) >= rung or _at(r.reached, rung)
        ]
        found.append(Rung(rung, sum(_at(r.reached, rung) for r in bound), len(bound)))
    return tuple(found)


def _at(reached: dict[int, int], rung: int) -> bool:
    return bool(reached) and max(reached.values()) >= rung


def _references(engine: Engine, rung: int) -> list[int]:
    """Places of those that are references alone, take nobody's place on a rung, and are there."""
    first = engine.schedule.rules.seeds[: engine.schedule.rules.first]
    runners = engine.schedule.runners.values()
    return [r.place for r in runners if not r.searched and r.value(rung, first) is not None]


def _best(engine: Engine) -> Best | None:
    """The highest mean at the highest rung that anybody has reached with all first seeds."""
    rules = engine.schedule.rules
    for rung in reversed(rules.rungs):
        places = [*engine.schedule.ladders[rung].places[:100], *_references(engine, rung)]
        if places:
            tables = {str(place): engine.schedule.runners[place].values[rung] for place in places}
            means = {name: sum(v.values()) / len(v) for name, v in tables.items()}
            name = max(means, key=lambda name: (len(tables[name]), means[name]))
            noise = paired(tables)
            error = noise.standard_error(len(tables[name]))
            half = None if error is None else float(stdtrit(noise.df, QUANTILE_90)) * error
            entry = engine.entries[int(name)]
            return Best(
                shares=entry.shares,
                accuracy=means[name],
                low=None if half is None else means[name] - half,
                high=None if half is None else means[name] + half,
                seeds=len(tables[name]),
                epoch=rung,
            )
    return None
