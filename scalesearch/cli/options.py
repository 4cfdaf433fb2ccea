"""Options that several commands share, and what becomes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from scalesearch.errors import ArchitectureError

Item = TypeVar("Item")

Width = Annotated[float | None, typer.Option(help="Width multiplier of the baseline.")]
Depth = Annotated[float | None, typer.Option(help="Depth multiplier of the baseline.")]
Resolution = Annotated[int | None, typer.Option(help="Input pixels per side.", min=1)]
StemStride = Annotated[int | None, typer.Option(help="1 suits small images.", min=1)]
InChannels = Annotated[int | None, typer.Option(help="Channels of the images.", min=1)]
NumClasses = Annotated[int | None, typer.Option(help="Outputs of the classifier.", min=1)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="recipe.epochs=3")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run the code of a baseline module:factory.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
RoundingName = Annotated[
    str | None, typer.Option(help="Rounding profile, such as official, nearest or even.")
]


def given_options(**options: Item | None) -> dict[str, Item]:
    """The options that were given; the others keep what the baseline has."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def argument_errors(where: str) -> Iterator[None]:
    """A rule that a value given here breaks is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise ArchitectureError(f"{where}: {error}") from error
