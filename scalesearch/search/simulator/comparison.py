"""Settings of a search against each other, and against an exhaustive grid and random search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.search.simulator.crew import FAIR, Weather
from scalesearch.search.simulator.recorded import recorded
from scalesearch.search.simulator.simulation import Ground, Simulation, ground, simulated
from scalesearch.search.simulator.surfaces import SURFACES, Surface, measured

SEEDS = 20
EXHAUSTIVE = "exhaustive grid"
COMPARABLE = ("lattice", "optimal", "sobol", "random", "tpe", "gp")
"""Samplers that need nothing but their name."""
APART = 1000
"""Between the seeds of two worlds, so that no run is in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A setting on a surface, over all seeds. Regrets are differences of true accuracy, fractions.

    ``regret``, ``regret_90``: mean and 90% quantile of the best mean's. ``surface_regret``,
    ``surface_regret_90``: of what the fitted surface would have one take; None where too few are
    trained to fit one. ``epochs``: mean; ``share``: of what an exhaustive grid takes. There are no
    references: they would be trained and could be picked on all sides. ``random_regret``: of
    random search for as many epochs; ``gain``: how much higher that is, with its standard error
    over seeds; ``wins``: the part of the seeds in which it is higher, equal ones counted half.
    ``seconds``: mean by the virtual clock; ``busy``: the part of it in which a worker is at work.
    ``regrets``: of each seed.
    """

    surface: str
    setting: str
    regret: float
    regret_90: float
    surface_regret: float | None
    surface_regret_90: float | None
    epochs: float
    share: float
    random_regret: float | None
    gain: float | None
    gain_error: float | None
    wins: float | None
    seconds: float | None
    busy: float | None
    regrets: tuple[float, ...]

    @property
    def row(self) -> dict[str, Any]:
        """All but each seed's."""
        told = asdict(self)
        del told["regrets"]
        return told


def compared(
    settings: Mapping[str, Experiment],
    surfaces: Sequence[Surface],
    *,
    workers: int = 64,
    seeds: int = SEEDS,
    weather: Weather = FAIR,
    on_progress: Callable[[str, str], None] = lambda surface, setting: None,
) -> list[Compared]:
    """Each setting on each surface, and what an exhaustive grid of all candidates would pick.

    ``settings``: experiments by name, all of one baseline, budget and number of epochs.
    Raises ArchitectureError where there are no candidates.
    """
    first = next(iter(settings.values()))
    found = []
    for surface in surfaces:
        known = ground(first, surface)
        found.append(_exhaustive(known, seeds))
        for name, experiment in settings.items():
            on_progress(surface.name, name)
            found.append(_compared(name, experiment, known, workers, seeds, weather))
    return found


def equal_random(experiment: Experiment, epochs: float) -> Experiment:
    """Random search that trains candidates to the end with all seeds, for about so many epochs."""
    each = experiment.search.seeds * experiment.rungs[-1]
    spec = replace(
        experiment.search,
        sampler="random",
        step=None,
        against=None,
        rungs=experiment.rungs,
        pruner="none",
        race=None,
        trials=max(1, round(epochs / each)),
    )
    return replace(experiment, search=spec)


def in_world(experiment: Experiment, world: int) -> Experiment:
    """The experiment with other seeds, for runs and for proposals, and without references."""
    alone = replace(experiment.search, references=())
    return replace(experiment, seed=experiment.seed + APART * world, search=alone)


def _compared(
    name: str, experiment: Experiment, known: Ground, workers: int, seeds: int, weather: Weather
) -> Compared:
    ours: list[Simulation] = []
    theirs: list[float] = []
    for world in range(seeds):
        own = in_world(experiment, world)
        ours.append(simulated(own, known, workers, world, weather=weather))
        other = equal_random(own, ours[-1].epochs)
        theirs.append(simulated(other, known, workers, world).regret)
    regrets = np.array([one.regret for one in ours])
    gains = np.array(theirs) - regrets
    by_surface = [one.surface_regret for one in ours]
    fitted = [regret for regret in by_surface if regret is not None]
    epochs = float(np.mean([one.epochs for one in ours]))
    at_work = sum(one.busy_seconds for one in ours) / sum(one.seconds for one in ours)
    whole = len(fitted) == len(ours)
    return Compared(
        surface=known.surface.name,
        setting=name,
        regret=float(regrets.mean()),
        regret_90=float(np.quantile(regrets, 0.9)),
        surface_regret=float(np.mean(fitted)) if whole else None,
        surface_regret_90=float(np.quantile(fitted, 0.9)) if whole else None,
        epochs=epochs,
        share=epochs / exhaustive_epochs(known),
        random_regret=float(np.mean(theirs)),
        gain=float(gains.mean()),
        gain_error=float(gains.std(ddof=1) / seeds**0.5) if seeds > 1 else None,
        wins=float(np.mean(np.where(gains == 0, 0.5, gains > 0))),
        seconds=float(np.mean([one.seconds for one in ours])),
        busy=at_work / workers,
        regrets=tuple(float(regret) for regret in regrets),
    )


def exhaustive_epochs(known: Ground) -> int:
    """Epochs of all candidates with all seeds."""
    experiment = known.experiment
    return len(known.points) * experiment.search.seeds * experiment.rungs[-1]


def _exhaustive(known: Ground, seeds: int) -> Compared:
    """The best mean of a grid that trains every candidate to the end with every seed."""
    regrets = np.array([_exhaustive_regret(known, world) for world in range(seeds)])
    return Compared(
        surface=known.surface.name,
        setting=EXHAUSTIVE,
        regret=float(regrets.mean()),
        regret_90=float(np.quantile(regrets, 0.9)),
        surface_regret=None,
        surface_regret_90=None,
        epochs=float(exhaustive_epochs(known)),
        share=1.0,
        random_regret=None,
        gain=None,
        gain_error=None,
        wins=None,
        seconds=None,
        busy=None,
        regrets=tuple(float(regret) for regret in regrets),
    )


def _exhaustive_regret(known: Ground, world: int) -> float:
    runs, last = in_world(known.experiment, world).seeds, known.experiment.rungs[-1]
    means = {
        name: sum(measured(known.surface, point, run, last, world) for run in runs)
        for name, point in known.points.items()
    }
    return known.regret(max(means, key=lambda name: means[name]))


def settings_of(experiment: Experiment, samplers: Sequence[str] = ()) -> dict[str, Experiment]:
    """The experiment by its sampler's name, or with each of these samplers in its place.

    Raises SearchError for a name that is no sampler's, or one that needs more than its name.
    """
    if not samplers:
        return {experiment.search.sampler: experiment}
    if unknown := [name for name in samplers if name not in COMPARABLE]:
        raise SearchError(
            f"--samplers: need some of {', '.join(COMPARABLE)}, got {', '.join(unknown)}"
        )
    spec = experiment.search
    return {
        name: experiment
        if name == spec.sampler
        else replace(
            experiment, search=replace(spec, sampler=cast(Any, name), step=None, against=None)
        )
        for name in samplers
    }


def surfaces_of(names: str) -> list[Surface]:
    """``all``, names separated by commas, or the path of a results table.

    Raises SearchError for what is none of these.
    """
    if names == "all":
        return [*SURFACES.values()]
    if names.endswith(".csv"):
        return [recorded(names)]
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in SURFACES]:
        raise SearchError(
            f"--surface: need all, a records.csv, or some of {', '.join(SURFACES)}, got "
            f"{', '.join(unknown)}"
        )
    return [SURFACES[name] for name in chosen]
