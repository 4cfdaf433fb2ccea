"""Commands that repeat the paper's comparisons, and that search without training."""

from pathlib import Path
from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AsJson,
    DryRunOption,
    Overrides,
    WorkerOptions,
    with_option_groups,
)


@with_option_groups
def ablate(
    name: Annotated[
        str | None,
        typer.Argument(help="The name of an ablation, or a YAML file; without it, all are listed."),
    ] = None,
    *,
    size: Annotated[
        str, typer.Option(help="Size of the experiment: smoke, small, or full (the paper's own).")
    ] = "full",
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the results; by default results/ablations/NAME/SIZE."
        ),
    ] = None,
    overrides: Overrides = None,
    workers: WorkerOptions,
    dry_run: DryRunOption = False,
    as_json: AsJson = False,
) -> None:
    """Run or resume one of the paper's comparisons."""
    from scalesearch.cli import printing

    changes = overrides or ()
    if name is None:
        printing.print_rows(ss.ablation_table(), "ablations", as_json)
    elif dry_run:
        dry_runs = ss.ablation_dry_runs(name, workers.config, size=size, overrides=changes)
        printing.print_dry_runs(dry_runs, as_json)
    else:
        result = ss.run_ablation(
            name, results, workers.config, size=size, overrides=changes, progress=True
        )
        printing.print_ablation(result, as_json)


def simulate(
    file: Annotated[
        Path,
        typer.Argument(metavar="EXPERIMENT", help="An experiment file; no images are needed."),
    ],
    surface: Annotated[
        str,
        typer.Option(help="Surfaces to search on: all, names with commas, or a records.csv."),
    ] = "all",
    table: Annotated[
        str,
        typer.Option(
            help="Search in recorded runs instead: a search's folder, or its name in scaling_table."
        ),
    ] = "",
    workers: Annotated[int, typer.Option(help="Number of simulated workers.", min=1)] = 64,
    samplers: Annotated[
        str,
        typer.Option(help="Samplers to compare, such as lattice,tpe; by default the experiment's."),
    ] = "",
    seeds: Annotated[
        int, typer.Option(help="Number of searches for each surface and sampler.", min=1)
    ] = 20,
    overrides: Overrides = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE ...",
            help="Compare with these values changed, such as search.eta=2; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write simulated.json, simulated.csv and a figure into this folder."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search on surfaces with a known best, without training."""
    from scalesearch.cli.printing import print_written
    from scalesearch.reporting.console import print_json, print_table

    result = ss.simulate(
        file,
        surface=surface,
        table=table,
        workers=workers,
        samplers=[name for name in samplers.split(",") if name],
        seeds=seeds,
        overrides=overrides or (),
        also=also or (),
        out=out,
        progress=True,
    )
    print_written(*result.files)
    print_json(result.document) if as_json else print_table(result.rows)
