"""A whole search over a surface: the real engine, schedule and samplers, and virtual workers."""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage

from scalesearch.analysis import surface as fitted
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.search import study as ledger
from scalesearch.search.engine import Engine
from scalesearch.search.jobs import Job
from scalesearch.search.plan import Planned, Space, plan, space, within
from scalesearch.search.proposals import directions
from scalesearch.search.pruners import OptunaPruner
from scalesearch.search.runners import Task
from scalesearch.search.schedule import Schedule
from scalesearch.search.setting import rules
from scalesearch.search.simulator.crew import FAIR, VirtualCrew, Weather
from scalesearch.search.simulator.replay import Replay
from scalesearch.search.simulator.surfaces import Point, Surface
from scalesearch.search.source import PRUNED_BY_OTHERS, Source
from scalesearch.search.study import Entry

CHANNELS, CLASSES = 3, 10
"""Of the images that nobody looks at, where the baseline leaves it to them."""


@dataclass(frozen=True)
class Ground:
    """An experiment's candidates, and a surface over them: what all of its searches share."""

    experiment: Experiment
    surface: Surface
    where: Space = field(repr=False)

    @cached_property
    def points(self) -> dict[str, Point]:
        """Every candidate of the budget, by its fingerprint."""
        return {c.fingerprint: Point(c.fingerprint, c.shares) for c in self.where.candidates}

    @cached_property
    def truth(self) -> dict[str, float]:
        """True accuracy at the last epoch, of every candidate."""
        last = self.experiment.rungs[-1]
        return {name: self.surface.accuracy(at, last) for name, at in self.points.items()}

    @cached_property
    def best(self) -> str:
        """The candidate that is truly best: what an exhaustive grid would find without noise."""
        return max(self.truth, key=lambda name: self.truth[name])

    def of(self, experiment: Experiment) -> "Ground":
        """The same for another experiment of the same baseline, budget and number of epochs."""
        if isinstance(self.surface, Replay):
            self.surface.refuse(experiment)
        other = Ground(experiment, self.surface, self.where)
        for name in ("points", "truth", "best"):
            if experiment.rungs[-1] == self.experiment.rungs[-1]:
                other.__dict__[name] = getattr(self, name)  # where cached_property keeps it
        return other

    def regret(self, candidate: str) -> float:
        """How far a candidate's true accuracy is below the best one's."""
        return self.truth[self.best] - self.truth[candidate]


def ground(experiment: Experiment, surface: Surface) -> Ground:
    """Raises ArchitectureError where the experiment's budget has no candidates, SearchError where
    it lists points, of which none is chosen."""
    if experiment.search.sampler == "points":
        raise SearchError("search.sampler: need one that chooses to simulate, got points")
    known = {"in_channels": CHANNELS, "num_classes": CLASSES}
    kept = {name: n for name, n in known.items() if getattr(experiment.baseline, name) is None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of axes; whoever plans a search is told by `isocost`
        where = space(experiment.baseline.build(**kept), experiment.budget)
    return (
        replaying(experiment, surface, where)
        if isinstance(surface, Replay)
        else Ground(experiment, surface, where)
    )


def replaying(experiment: Experiment, recorded: Replay, where: Space) -> Ground:
    """The ground of what is on record alone: candidates that are not are never proposed.

    Raises SearchError where fewer than two have what the experiment asks for.
    """
    whole = recorded.of(experiment)
    known = within(where, {name: whole.asked[name] for name in whole.runs})
    if len(known.candidates) < 2:
        raise SearchError(
            f"{recorded.name}: need 2 of the experiment's networks among the {len(whole.runs)} on "
            f"record, got {len(known.candidates)}; take the experiment that the records are of, "
            "with their baseline, budget and number of classes"
        )
    kept = {one.fingerprint: whole.runs[one.fingerprint] for one in known.candidates}
    return Ground(experiment, replace(whole, runs=kept), known)


@dataclass(frozen=True)
class Simulation:
    """What came of a search.

    ``epochs``: trained and on record, the ``reference_epochs`` among them, which are those of
    candidates that were not searched. ``seconds``: by the virtual clock; ``busy_seconds``: of all
    workers together. ``lost``: jobs that died with their workers. ``ended``: why the search stopped
    before its end, if it did.
    """

    ground: Ground = field(repr=False)
    entries: tuple[Entry, ...] = field(repr=False)
    seconds: float
    busy_seconds: float
    lost: int
    ended: str = ""

    @property
    def epochs(self) -> int:
        return sum(len(entry.rows) for entry in self.entries)

    @property
    def reference_epochs(self) -> int:
        return sum(len(entry.rows) for entry in self.entries if not searched(entry))

    @cached_property
    def records(self) -> pd.DataFrame:
        """The search's results table."""
        return ledger.records(self.entries)

    @cached_property
    def pick(self) -> str:
        """The candidate of the highest mean among those with the most seeds at the last epoch."""
        last = self.ground.experiment.rungs[-1]
        at_end = {
            entry.candidate: [row["accuracy"] for row in entry.rows if row["epoch"] == last]
            for entry in self.entries
        }
        most = max((len(values) for values in at_end.values()), default=0)
        if not most:
            raise SearchError("simulation: no candidate has reached the last epoch")
        means = {name: sum(v) / most for name, v in at_end.items() if len(v) == most}
        return min(means, key=lambda name: (-means[name], name))

    @cached_property
    def surface_pick(self) -> str | None:
        """The candidate, trained or not, for which the surface that is fitted to the records is
        highest; None where too few are trained to fit any."""
        points = list(self.ground.points.values())
        shares_N3 = np.array([point.shares.as_tuple() for point in points])
        try:
            predicted, _ = fitted(self.records).predict(shares_N3)
        except SearchError:
            return None
        return points[int(np.argmax(predicted))].candidate

    @property
    def regret(self) -> float:
        """How far the pick's true accuracy is below the best candidate's, at the last epoch."""
        return self.ground.regret(self.pick)

    @property
    def surface_regret(self) -> float | None:
        pick = self.surface_pick
        return None if pick is None else self.ground.regret(pick)


def searched(entry: Entry) -> bool:
    """Whether a candidate is more than a reference."""
    return "searched" in str(entry.facts["role"]).split("+")


def simulated(
    experiment: Experiment,
    surface: Surface | Ground,
    workers: int = 64,
    seed: int = 0,
    *,
    weather: Weather = FAIR,
    storage: BaseStorage | Path | None = None,
) -> Simulation:
    """Search with nothing trained: by the experiment's rules, with its candidates and samplers.

    ``surface``: or the ground of an experiment of the same baseline and budget, which saves listing
    the candidates again. ``seed``: of the noise and of what happens to workers; proposals are drawn
    by the experiment's own. ``storage``: of the study, by default in memory.
    """
    if weather.hanging and experiment.search.failures.job_seconds is None:
        raise SearchError(
            "weather.hanging: need search.failures.job_seconds, or a job that hangs is never given "
            "up"
        )
    known = surface if isinstance(surface, Ground) else ground(experiment, surface)
    known = known.of(experiment)
    engine = engine_of(known, workers, seed, weather, storage)
    for _ in engine.run():
        pass
    crew = engine.crew
    assert isinstance(crew, VirtualCrew)
    return Simulation(
        known,
        tuple(engine.in_order),
        crew.now(),
        crew.busy_seconds,
        crew.lost,
        engine.enough.reason,
    )


def engine_of(
    known: Ground,
    workers: int,
    seed: int,
    weather: Weather = FAIR,
    storage: BaseStorage | Path | None = None,
    crew: type[VirtualCrew] = VirtualCrew,
) -> Engine:
    """The engine of a simulated search, ready to run."""
    experiment = known.experiment
    source = Source(experiment, known.where, planned(experiment, known.where))
    points = dict(known.points)
    workforce = crew(
        known.surface,
        points,
        workers,
        seed=seed,
        weather=weather,
        allowed=experiment.search.failures.job_seconds,
    )

    def assign(entry: Entry, task: Task) -> Job:
        points.setdefault(entry.candidate, Point(entry.candidate, entry.shares))
        return job(experiment, known.where, entry, task)

    study = ledger.open_study(
        storage or InMemoryStorage(), experiment.name, directions(experiment.search)
    )
    return Engine(experiment, source, schedule(experiment), study, workforce, assign)


def planned(experiment: Experiment, where: Space) -> tuple[Planned, ...]:
    """The plan, without the warnings about strays, which are of no account here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plan(experiment.search, where)


def schedule(experiment: Experiment) -> Schedule:
    """An empty schedule by the experiment's rules."""
    name = experiment.search.pruner
    other = name in PRUNED_BY_OTHERS
    pruner = OptunaPruner(name, experiment.rungs, experiment.search.eta) if other else None
    return Schedule(rules(experiment), pruner)


def job(experiment: Experiment, where: Space, entry: Entry, task: Task) -> Job:
    """A task as a job of plain data; no worker looks at networks, images or checkpoints."""
    return Job(
        candidate=entry.candidate,
        seeds=task.seeds,
        start=task.start,
        stop=task.stop or experiment.rungs[-1],
        sweep=task.sweep,
        architecture=where.baseline,
        recipe=experiment.recipe,
        data=experiment.data,
        fingerprints=(),
        device="simulated",
        checkpoints=NOWHERE,
    )


NOWHERE = Path("/nonexistent")
