"""Comparison of search settings, an exhaustive grid, and random search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.figures.regret import regret_figure, regrets
from scalesearch.figures.style import write_figure
from scalesearch.io import write_json, write_text
from scalesearch.results.environment import git_commit
from scalesearch.simulation.recorded_runs import recorded_surface
from scalesearch.simulation.simulated_search import (
    GroundTruth,
    SimulationResult,
    make_ground_truth,
    simulate_search,
)
from scalesearch.simulation.surfaces import SURFACES, Surface, measured_accuracy

DEFAULT_SEEDS = 20
EXHAUSTIVE = "exhaustive grid"
COMPARABLE_SAMPLERS = ("lattice", "optimal", "sobol", "random", "tpe", "gp")
"""Samplers that need no other setting than their name."""
WORLD_SEED_STRIDE = 1000
"""Distance between the seeds of two worlds, so that they share no run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingComparison:
    """A setting on a surface, over all seeds.

    Regrets are differences of true accuracy, fractions. References are left out: they would be
    trained, and could be chosen, in every setting.
    """

    surface: str
    setting: str
    regret: float
    """Mean regret of the candidate with the best mean accuracy."""
    regret_90: float
    """90% quantile of the same."""
    surface_regret: float | None
    """Mean regret of the best candidate of the fitted surface; None with too few trials."""
    surface_regret_90: float | None
    """90% quantile of the same."""
    epochs: float
    """Mean number of trained epochs."""
    share: float
    """Their fraction of the epochs of an exhaustive grid."""
    random_regret: float | None
    """Mean regret of random search with the same number of epochs."""
    gain: float | None
    """Mean regret of random search minus that of the setting."""
    gain_error: float | None
    """Standard error of the gain over seeds."""
    wins: float | None
    """Fraction of seeds in which random search is worse; ties count half."""
    seconds: float | None
    """Mean duration by the virtual clock."""
    busy: float | None
    """Fraction of this time in which a worker is busy."""
    regrets: tuple[float, ...]
    """Regret of each seed."""

    @property
    def row(self) -> dict[str, Any]:
        """All fields except ``regrets``."""
        columns = asdict(self)
        del columns["regrets"]
        return columns


def compare_settings(
    settings: Mapping[str, Experiment],
    surfaces: Sequence[Surface],
    *,
    workers: int = 64,
    seeds: int = DEFAULT_SEEDS,
    on_progress: Callable[[str, str], None] = lambda surface, setting: None,
) -> list[SettingComparison]:
    """Simulate each setting, and an exhaustive grid, on each surface.

    ``settings`` are experiments by name, all with one baseline, budget and number of epochs.
    Raises ArchitectureError if there are no candidates.
    """
    first_experiment = next(iter(settings.values()))
    comparisons = []
    for surface in surfaces:
        ground_truth = make_ground_truth(first_experiment, surface)
        comparisons.append(_exhaustive_comparison(ground_truth, seeds))
        for name, experiment in settings.items():
            on_progress(surface.name, name)
            comparisons.append(_compare_setting(name, experiment, ground_truth, workers, seeds))
    return comparisons


def random_search_of_equal_cost(experiment: Experiment, epochs: float) -> Experiment:
    """Make a random search of about this many epochs, without early stopping."""
    epochs_per_trial = experiment.search.seeds * experiment.rungs[-1]
    search_config = replace(
        experiment.search,
        sampler="random",
        step=None,
        against=None,
        rungs=experiment.rungs,
        pruner="none",
        race=None,
        trials=max(1, round(epochs / epochs_per_trial)),
    )
    return replace(experiment, search=search_config)


def experiment_in_world(experiment: Experiment, world: int) -> Experiment:
    """Give the experiment the seeds of a world, and remove its references."""
    search_config = replace(experiment.search, references=())
    return replace(
        experiment, seed=experiment.seed + WORLD_SEED_STRIDE * world, search=search_config
    )


def _compare_setting(
    name: str,
    experiment: Experiment,
    ground_truth: GroundTruth,
    workers: int,
    seeds: int,
) -> SettingComparison:
    simulations: list[SimulationResult] = []
    random_regrets: list[float] = []
    for world in range(seeds):
        world_experiment = experiment_in_world(experiment, world)
        simulations.append(simulate_search(world_experiment, ground_truth, workers, world))
        random_experiment = random_search_of_equal_cost(world_experiment, simulations[-1].epochs)
        random_regrets.append(
            simulate_search(random_experiment, ground_truth, workers, world).regret
        )
    regrets = np.array([simulation.regret for simulation in simulations])
    gains = np.array(random_regrets) - regrets
    surface_regrets = [simulation.surface_regret for simulation in simulations]
    fitted_regrets = [regret for regret in surface_regrets if regret is not None]
    epochs = float(np.mean([simulation.epochs for simulation in simulations]))
    total_seconds = sum(simulation.seconds for simulation in simulations)
    busy_seconds = sum(simulation.busy_seconds for simulation in simulations)
    all_fitted = len(fitted_regrets) == len(simulations)
    return SettingComparison(
        surface=ground_truth.surface.name,
        setting=name,
        regret=float(regrets.mean()),
        regret_90=float(np.quantile(regrets, 0.9)),
        surface_regret=float(np.mean(fitted_regrets)) if all_fitted else None,
        surface_regret_90=float(np.quantile(fitted_regrets, 0.9)) if all_fitted else None,
        epochs=epochs,
        share=epochs / exhaustive_epochs(ground_truth),
        random_regret=float(np.mean(random_regrets)),
        gain=float(gains.mean()),
        gain_error=float(gains.std(ddof=1) / seeds**0.5) if seeds > 1 else None,
        wins=float(np.mean(np.where(gains == 0, 0.5, gains > 0))),
        seconds=float(np.mean([simulation.seconds for simulation in simulations])),
        busy=busy_seconds / total_seconds / workers,
        regrets=tuple(float(regret) for regret in regrets),
    )


def exhaustive_epochs(ground_truth: GroundTruth) -> int:
    """Count the epochs of all candidates with all seeds."""
    experiment = ground_truth.experiment
    return len(ground_truth.points) * experiment.search.seeds * experiment.rungs[-1]


def _exhaustive_comparison(ground_truth: GroundTruth, seeds: int) -> SettingComparison:
    """Compute the regret of a grid that trains every candidate fully with every seed."""
    regrets = np.array([_exhaustive_regret(ground_truth, world) for world in range(seeds)])
    return SettingComparison(
        surface=ground_truth.surface.name,
        setting=EXHAUSTIVE,
        regret=float(regrets.mean()),
        regret_90=float(np.quantile(regrets, 0.9)),
        surface_regret=None,
        surface_regret_90=None,
        epochs=float(exhaustive_epochs(ground_truth)),
        share=1.0,
        random_regret=None,
        gain=None,
        gain_error=None,
        wins=None,
        seconds=None,
        busy=None,
        regrets=tuple(float(regret) for regret in regrets),
    )


def _exhaustive_regret(ground_truth: GroundTruth, world: int) -> float:
    seeds = experiment_in_world(ground_truth.experiment, world).seeds
    last_epoch = ground_truth.experiment.rungs[-1]
    means = {
        name: sum(
            measured_accuracy(ground_truth.surface, point, seed, last_epoch, world)
            for seed in seeds
        )
        for name, point in ground_truth.points.items()
    }
    return ground_truth.regret(max(means, key=lambda name: means[name]))


def experiments_by_sampler(
    experiment: Experiment, samplers: Sequence[str] = ()
) -> dict[str, Experiment]:
    """Make one experiment for each sampler; by default the experiment's own.

    Raises SearchError for an unknown sampler, or one that needs other settings.
    """
    if not samplers:
        return {experiment.search.sampler: experiment}
    if unknown := [name for name in samplers if name not in COMPARABLE_SAMPLERS]:
        raise SearchError(
            f"--samplers: need some of {', '.join(COMPARABLE_SAMPLERS)}, got {', '.join(unknown)}"
        )
    search_config = experiment.search
    return {
        name: experiment
        if name == search_config.sampler
        else replace(
            experiment,
            search=replace(search_config, sampler=cast(Any, name), step=None, against=None),
        )
        for name in samplers
    }


def surfaces_from_names(text: str) -> list[Surface]:
    """Return the surfaces for ``all``, names with commas, or a results table.

    Raises SearchError for anything else.
    """
    if text == "all":
        return [*SURFACES.values()]
    if text.endswith(".csv"):
        return [recorded_surface(text)]
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in SURFACES]:
        raise SearchError(
            f"--surface: need all, a records.csv, or some of {', '.join(SURFACES)}, got "
            f"{', '.join(unknown)}"
        )
    return [SURFACES[name] for name in chosen]


def write_simulation_results(
    rows: Sequence[Mapping[str, Any]], folder: Path, **metadata: Any
) -> tuple[Path, ...]:
    """Write ``simulated.csv``, ``.json`` (with metadata), ``.png`` and ``.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    csv_path, json_path = folder / "simulated.csv", folder / "simulated.json"
    write_text(csv_path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    content = {**metadata, "commit": git_commit(), "rows": list(rows)}
    write_json(json_path, content, allow_nan=False)
    return csv_path, json_path, *write_figure(regret_figure(regrets(rows)), folder / "simulated")
