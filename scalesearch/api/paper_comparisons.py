"""The paper's comparisons, and searches on surfaces with a known optimum."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.ablations import run as ablation_runs
from scalesearch.ablations.ablation_prose import AblationResult
from scalesearch.ablations.spec import (
    Ablation,
    ablation_experiments,
    ablation_names,
    ablation_points,
    read_ablation,
)
from scalesearch.api.worker_config import INLINE, WorkerConfig
from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.reporting.terminal.search_display import show_search
from scalesearch.search.dry_run import DryRun, make_dry_run
from scalesearch.simulation.comparison import (
    compare_settings,
    experiments_by_sampler,
    surfaces_from_names,
    write_simulation_results,
)
from scalesearch.simulation.recorded_runs import load_replay


def ablation_table() -> list[dict[str, Any]]:
    """Return a row for each ablation that has a name."""
    return [_ablation_row(read_ablation(name)) for name in ablation_names()]


def _ablation_row(ablation: Ablation) -> dict[str, Any]:
    points = [point for name in ablation.baselines for point in ablation_points(ablation, name)]
    return {
        "name": ablation.name,
        "title": ablation.title,
        "source": ablation.source,
        "points": len(points),
        "seeds": ablation.seeds,
    }


def run_ablation(
    name: str | Ablation,
    results: str | Path | None = None,
    workers: WorkerConfig = INLINE,
    *,
    size: str = "full",
    overrides: Sequence[str] = (),
    progress: bool = False,
) -> AblationResult:
    """Train or continue one of the paper's comparisons; write its results.

    ``name``: of an ablation, a YAML file, or an ablation that was read (with its own size and
    overrides). ``results``: by default ``results/ablations/NAME/SIZE``. ``size``: ``smoke``,
    ``small`` or ``full``, the paper's own.
    """
    ablation = name if isinstance(name, Ablation) else read_ablation(name, size, overrides)
    options = dict(workers.options)
    if progress:
        options["show_progress"] = show_search
    try:
        return ablation_runs.run_ablation(ablation, results, **options)
    except KeyboardInterrupt:
        if progress:
            print("stopped; the same command continues it", file=sys.stderr)
        raise


def ablation_dry_runs(
    name: str,
    workers: WorkerConfig = INLINE,
    *,
    size: str = "full",
    overrides: Sequence[str] = (),
) -> dict[str, DryRun]:
    """Estimate the cost of each search of an ablation, without training."""
    experiments = ablation_experiments(read_ablation(name, size, overrides))
    return {
        name: make_dry_run(experiment, **workers.options)
        for name, experiment in experiments.items()
    }


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """The searches that were simulated, one row for each surface and experiment."""

    workers: int
    seeds: int
    rows: tuple[Mapping[str, Any], ...]
    files: tuple[Path, ...] = ()
    """Files that were written."""

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"workers": self.workers, "seeds": self.seeds, "rows": list(self.rows)}


def simulate(
    file: str | Path,
    *,
    surface: str = "all",
    table: str = "",
    workers: int = 64,
    samplers: Sequence[str] = (),
    seeds: int = 20,
    overrides: Sequence[str] = (),
    also: Sequence[str] = (),
    out: str | Path | None = None,
    progress: bool = False,
) -> SimulationReport:
    """Run the search of an experiment on known surfaces, without training.

    ``surface``: ``all``, names separated by commas, or a ``records.csv``. ``table``: recorded runs
    in place of a surface. ``also``: overrides to compare with, each a text such as
    ``search.eta=2``. ``out``: a folder for ``simulated.json``, ``.csv`` and a figure.
    """
    if table and surface != "all":
        raise SearchError(f"--surface: need none beside --table, got {surface}; leave one out")
    experiments = experiments_by_sampler(read_experiment(file, overrides), list(samplers))
    for changes in also:
        experiments[changes] = read_experiment(file, [*overrides, *changes.split()])

    def show_progress(surface_name: str, experiment_name: str) -> None:
        """Print which searches are simulated now."""
        if progress:
            print(f"{surface_name}: {experiment_name}...", file=sys.stderr)

    comparisons = compare_settings(
        experiments,
        [load_replay(table)] if table else surfaces_from_names(surface),
        workers=workers,
        seeds=seeds,
        on_progress=show_progress,
    )
    rows = [comparison.row for comparison in comparisons]
    files: Sequence[Path] = ()
    if out is not None:
        files = tuple(write_simulation_results(rows, Path(out), workers=workers, seeds=seeds))
    return SimulationReport(workers, seeds, tuple(rows), tuple(files))
