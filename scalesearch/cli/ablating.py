"""The command that repeats the paper's comparisons."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AsJson, Overrides
from scalesearch.cli.workers import Devices, Executor, Memory, Scheduler, Workers, worker_options

if TYPE_CHECKING:
    from scalesearch.ablations import Ablation


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
    from scalesearch.ablations import run_ablation as run_ablation_function
    from scalesearch.ablations import ablation_document, ablation_names, read_ablation, table_rows
    from scalesearch.progress import show_search
    from scalesearch.tables import print_json, print_table

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
    from scalesearch.ablations import ablation_points

    point_list = [point for name in ablation.baselines for point in ablation_points(ablation, name)]
    return {
        "name": ablation.name,
        "title": ablation.title,
        "source": ablation.source,
        "points": len(point_list),
        "seeds": ablation.seeds,
    }


def _print_dry_runs(ablation: "Ablation", as_json: bool, options: dict[str, Any]) -> None:
    from scalesearch.ablations import ablation_experiments
    from scalesearch.cli.runs import print_dry_run
    from scalesearch.search.forecast import forecast
    from scalesearch.tables import print_json

    experiments_by_name = ablation_experiments(ablation)
    if as_json:
        documents = {name: forecast(one, **options).document for name, one in experiments_by_name.items()}
        print_json({"searches": documents})
        return
    for name, experiment in experiments_by_name.items():
        print(f"{name}:")
        print_dry_run(experiment, as_json=False, **options)
