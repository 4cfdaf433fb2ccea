"""The command that repeats the paper's comparisons."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AsJson, Overrides
from scalesearch.cli.workers import Devices, Executor, Memory, Scheduler, Workers, crew

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
    from scalesearch.ablations import ablate as ablated
    from scalesearch.ablations import ablation_document, ablations, read_ablation, table_rows
    from scalesearch.progress import search_shown
    from scalesearch.tables import print_json, print_table

    if name is None:
        listed = [_row(read_ablation(one)) for one in ablations()]
        if as_json:
            print_json({"ablations": listed})
        else:
            print_table(listed)
        return
    ablation = read_ablation(name, size, overrides or ())
    options = crew(executor, workers, scheduler, devices, memory)
    if dry_run:
        _foretell(ablation, as_json, options)
        return
    try:
        found = ablated(ablation, results, shown=search_shown, **options)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from there", file=sys.stderr)
        raise
    if as_json:
        print_json(ablation_document(found))
        return
    print_table(table_rows(found.rows), title=f"{ablation.title} ({ablation.source})")
    print("\n".join(found.sentences))
    print(f"{found.folder}/   table.csv   ablation.json   figures/")


def _row(ablation: "Ablation") -> dict[str, Any]:
    from scalesearch.ablations import points

    networks = [point for name in ablation.baselines for point in points(ablation, name)]
    return {
        "name": ablation.name,
        "title": ablation.title,
        "source": ablation.source,
        "points": len(networks),
        "seeds": ablation.seeds,
    }


def _foretell(ablation: "Ablation", as_json: bool, options: dict[str, Any]) -> None:
    from scalesearch.ablations import experiments
    from scalesearch.cli.runs import foretell
    from scalesearch.search.forecast import forecast
    from scalesearch.tables import print_json

    searches = experiments(ablation)
    if as_json:
        found = {name: forecast(one, **options).document for name, one in searches.items()}
        print_json({"searches": found})
        return
    for name, experiment in searches.items():
        print(f"{name}:")
        foretell(experiment, as_json=False, **options)
