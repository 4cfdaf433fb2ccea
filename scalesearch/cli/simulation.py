"""The command that searches where nothing is trained."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.options import AsJson


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
    from scalesearch.errors import SearchError
    from scalesearch.experiment import read_experiment
    from scalesearch.report.simulated import write_simulation_results
    from scalesearch.search.simulator import compare_settings, load_replay, experiments_by_sampler, surfaces_from_names
    from scalesearch.tables import print_json, print_table

    if table and surface != "all":
        raise SearchError(f"--surface: need none beside --table, got {surface}; leave one out")
    base_overrides = overrides or []
    settings = experiments_by_sampler(read_experiment(file, base_overrides), [sampler_name for sampler_name in samplers.split(",") if sampler_name])
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
