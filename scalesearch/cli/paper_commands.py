"""The command that repeats the paper's comparisons.

The command that searches where nothing is trained.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import (
    AsJson,
    Devices,
    Executor,
    Memory,
    Overrides,
    Scheduler,
    Workers,
    worker_options,
)

if TYPE_CHECKING:
    from scalesearch.ablations.spec import Ablation


def ablate(
    name: Annotated[
        str | None, typer.Argument(help="Of an ablation, or a YAML file; without, they are listed.")
    ] = None,
    size: Annotated[str, typer.Option(help="smoke, small, or full: the paper's own.")] = "full",
    results: Annotated[
        Path | None, typer.Option(help="Its own folder; by default results/ablations/NAME/SIZE.")
    ] = None,
    overrides: Overrides = None,
    executor: Executor = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    devices: Devices = None,
    memory: Memory = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and for how long.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The paper's comparisons on one's own images; the same command goes on where it stopped."""
    from scalesearch.ablations.ablation_prose import table_rows
    from scalesearch.ablations.run import ablation_document
    from scalesearch.ablations.run import run_ablation as run_ablation_function
    from scalesearch.ablations.spec import ablation_names, read_ablation
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.terminal.search_display import show_search

    if name is None:
        rows = [_ablation_row(read_ablation(ablation_name)) for ablation_name in ablation_names()]
        if as_json:
            print_json({"ablations": rows})
        else:
            print_table(rows)
        return
    ablation = read_ablation(name, size, overrides or ())
    options = worker_options(executor, workers, scheduler, devices, memory)
    if dry_run:
        _print_dry_runs(ablation, as_json, options)
        return
    try:
        result = run_ablation_function(ablation, results, show_progress=show_search, **options)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from there", file=sys.stderr)
        raise
    if as_json:
        print_json(ablation_document(result))
        return
    print_table(table_rows(result.rows), title=f"{ablation.title} ({ablation.source})")
    print("\n".join(result.sentences))
    print(f"{result.folder}/   table.csv   ablation.json   figures/")


def _ablation_row(ablation: "Ablation") -> dict[str, Any]:
    from scalesearch.ablations.spec import ablation_points

    point_list = [point for name in ablation.baselines for point in ablation_points(ablation, name)]
    return {
        "name": ablation.name,
        "title": ablation.title,
        "source": ablation.source,
        "points": len(point_list),
        "seeds": ablation.seeds,
    }


def _print_dry_runs(ablation: "Ablation", as_json: bool, options: dict[str, Any]) -> None:
    from scalesearch.ablations.spec import ablation_experiments
    from scalesearch.cli.search_commands import print_dry_run
    from scalesearch.reporting.console import print_json
    from scalesearch.search.dry_run import forecast

    experiments_by_name = ablation_experiments(ablation)
    if as_json:
        documents = {
            name: forecast(one, **options).document for name, one in experiments_by_name.items()
        }
        print_json({"searches": documents})
        return
    for name, experiment in experiments_by_name.items():
        print(f"{name}:")
        print_dry_run(experiment, as_json=False, **options)


def simulate(
    file: Annotated[Path, typer.Argument(help="An experiment; none of its images is needed.")],
    surface: Annotated[
        str, typer.Option(help="all, names separated by commas, or a records.csv.")
    ] = "all",
    table: Annotated[
        str,
        typer.Option(help="Replay recorded runs: a search's folder, or its name in scaling_table."),
    ] = "",
    workers: Annotated[int, typer.Option(help="Simulated workers.", min=1)] = 64,
    samplers: Annotated[
        str, typer.Option(help="Such as lattice,tpe,gp; by default the experiment's own.")
    ] = "",
    seeds: Annotated[int, typer.Option(help="Searches of each kind.", min=1)] = 20,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="search.race=null")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE ...", help="Compare with this changed: search.eta=2."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write simulated.json, .csv and a figure into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Searches on surfaces whose best is known: what they miss it by, and what they cost.

    With --table, searches among recorded runs, which stand in for training."""
    from scalesearch.config.reading import read_experiment
    from scalesearch.errors import SearchError
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.simulation.comparison import (
        compare_settings,
        experiments_by_sampler,
        surfaces_from_names,
        write_simulation_results,
    )
    from scalesearch.simulation.recorded_runs import load_replay

    if table and surface != "all":
        raise SearchError(f"--surface: need none beside --table, got {surface}; leave one out")
    base_overrides = overrides or []
    settings = experiments_by_sampler(
        read_experiment(file, base_overrides),
        [sampler_name for sampler_name in samplers.split(",") if sampler_name],
    )
    for changes in also or ():
        settings[changes] = read_experiment(file, [*base_overrides, *changes.split()])
    comparisons = compare_settings(
        settings,
        [load_replay(table)] if table else surfaces_from_names(surface),
        workers=workers,
        seeds=seeds,
        on_progress=lambda surface, name: print(f"{surface}: {name}...", file=sys.stderr),
    )
    rows = [comparison.row for comparison in comparisons]
    if out is not None:
        for path in write_simulation_results(rows, out, workers=workers, seeds=seeds):
            print(f"wrote {path}", file=sys.stderr)
    if as_json:
        print_json({"workers": workers, "seeds": seeds, "rows": rows})
    else:
        print_table(rows)
