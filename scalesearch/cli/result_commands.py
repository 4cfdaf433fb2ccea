"""Commands that report a search, check its short runs, fit scaling laws."""

from pathlib import Path
from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    Folder,
    RunOptions,
    SignificanceLevel,
    with_option_groups,
)
from scalesearch.errors import SearchError


def report(folder: Folder, allow_code: AllowCode = False) -> None:
    """Write the report page and the figures."""
    page, text = ss.write_report(folder, allow_code=allow_code)
    print(f"{page}   {text.name}   figures/")


@with_option_groups
def check_proxy(
    folder: Folder,
    *,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Compare with this search of the same candidates, on other images, at another "
            "resolution or learning rate; may be repeated.",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="Rank correlation that an epoch must reach."),
    ] = 0.7,
    level: SignificanceLevel = 0.1,
    learning_rate: Annotated[
        bool,
        typer.Option(
            "--learning-rate",
            help="Train the best candidates again at half and double the learning rate.",
        ),
    ] = False,
    rules: Annotated[
        bool,
        typer.Option(
            "--rules", help="Train the best candidates again by the other learning rate rules."
        ),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --learning-rate or --rules: number of the best candidates, beside the "
            "references; by default 3.",
        ),
    ] = None,
    run: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Check whether short runs rank candidates like long ones."""
    from scalesearch.cli.printing import print_proxy_check, print_written
    from scalesearch.reporting.console import print_json

    check = ss.check_proxy(
        folder,
        beside or (),
        threshold=threshold,
        level=level,
        learning_rate=learning_rate,
        rules=rules,
        top=top,
        **run.arguments,
    )
    if as_json:
        print_json(check.document)
    else:
        print_proxy_check(check)
        print_written(folder / "audit.json")


@with_option_groups
def confirm(
    folder: Folder,
    *,
    epochs: Annotated[
        int, typer.Option(min=1, help="Number of epochs, more than the search trained.")
    ],
    top: Annotated[
        int, typer.Option(min=1, help="Number of the best candidates, beside the references.")
    ] = 5,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Number of seeds; by default as many as the search has."),
    ] = None,
    level: SignificanceLevel = 0.1,
    run: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Train the best candidates longer, with new seeds."""
    from scalesearch.cli.printing import print_written, replication_row
    from scalesearch.reporting.console import print_json, print_table

    confirmation = ss.confirm(
        folder,
        epochs,
        top=top,
        seeds=seeds,
        level=level,
        **run.arguments,
    )
    if as_json:
        print_json(confirmation.document)
    else:
        print_table([replication_row(row) for row in confirmation.replication.rows])
        print(confirmation.replication.sentence)
        print_written(folder / "confirm.json")


def scaling_law(
    folder: Folder,
    factor: Annotated[
        float,
        typer.Option(min=1.001, help="Cost of one step of phi, as a multiple of the step before."),
    ] = 2.0,
    phi: Annotated[
        str, typer.Option(metavar="LIST", help="Values of phi to predict for, such as 1,2,3.5.")
    ] = "1,2,3,4",
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="COST",
            help="Check each law on a network of at least this multiple of the baseline's cost.",
        ),
    ] = None,
    level: SignificanceLevel = 0.1,
    as_json: AsJson = False,
) -> None:
    """Show how accuracy grows with cost in each direction."""
    from scalesearch.cli.printing import print_scaling_laws, print_written
    from scalesearch.reporting.console import print_json

    laws = ss.fit_scaling_laws(
        folder, factor=factor, phis=_parse_numbers(phi), hold_out=hold_out, level=level
    )
    if as_json:
        print_json(laws.document)
    else:
        print_scaling_laws(laws)
        print_written(folder / "laws.json")


def _parse_numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SearchError(f"--phi: need numbers such as 1,2,3.5, got {text!r}") from None
