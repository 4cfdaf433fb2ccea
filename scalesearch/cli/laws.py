"""The command that tells how accuracy grows with cost."""

import sys
from typing import Annotated

import typer

from scalesearch.cli.options import AsJson, Folder
from scalesearch.errors import SearchError


def laws(
    folder: Folder,
    factor: Annotated[
        float, typer.Option(min=1.001, help="Of cost, for one step of phi and for the shares.")
    ] = 2.0,
    phi: Annotated[str, typer.Option(metavar="LIST", help="Where to predict: 1,2,3.5")] = "1,2,3,4",
    hold_out: Annotated[
        float | None,
        typer.Option(metavar="COST", help="Check each law on a network of at least so many x."),
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Bands hold the truth but for so much.")
    ] = 0.1,
    as_json: AsJson = False,
) -> None:
    """How accuracy grows with cost along each direction, and what that predicts for larger phi."""
    from scalesearch.report.laws import scaling_laws_of_folder, write_scaling_laws
    from scalesearch.tables import print_json, print_table

    scaling_laws = scaling_laws_of_folder(folder, factor=factor, phis=_parse_numbers(phi), hold_out=hold_out, level=level)
    path = write_scaling_laws(folder, scaling_laws)
    if as_json:
        print_json(scaling_laws.document)
        return
    print_table([law.row for law in scaling_laws.laws.values()])
    print_table(scaling_laws.predictions)
    if scaling_laws.shares is not None:
        print_table(scaling_laws.shares.rows)
    print("\n".join(scaling_laws.sentences))
    print(f"wrote {path}", file=sys.stderr)


def _parse_numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SearchError(f"--phi: need numbers such as 1,2,3.5, got {text!r}") from None
