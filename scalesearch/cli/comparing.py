"""The command that puts networks beside each other."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.benching import Anyway, Device, Threads
from scalesearch.cli.entries import KINDS, entries, entry
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import code
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.latency import Bench
    from scalesearch.nets import Entry

# The parts of scalesearch are imported within the functions: help has no use for torch.


def compare(
    networks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NETWORK...]", help=f"{KINDS}; by default seven that people know."),
    ] = None,
    top1: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK=X", help="ImageNet accuracy that no paper prints: 0.77."),
    ] = None,
    latency: Annotated[bool, typer.Option("--latency", help="Time them, as `bench` does.")] = False,
    batch: Annotated[int, typer.Option(help="Images of a pass, for --latency.", min=1)] = 1,
    device: Device = "cpu",
    threads: Threads = 1,
    anyway: Anyway = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write compare.csv, .png and .svg here.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """What networks cost and reach: size, multiply-adds, latency, accuracy as printed."""
    from scalesearch.compared import DEFAULT, comparison
    from scalesearch.tables import print_json, print_table, write_csv

    with code(allow_code):
        chosen = entries(networks or DEFAULT)
        given = _given(top1 or [], chosen)
        timed = _timed(chosen, batch, device, threads, anyway) if latency else None
        rows = comparison(chosen, top1=given, timed=timed.timed if timed else None)
    for warning in timed.warnings if timed else ():
        print(f"warning: {warning}", file=sys.stderr)
    if out is not None:
        print(f"wrote {write_csv(out / 'compare.csv', rows)}", file=sys.stderr)
        _draw(rows, out / "compare")
    document: dict[str, Any] = {"networks": rows}
    if timed is not None:
        document["latency"] = timed.document()
    print_json(document) if as_json else print_table(rows)


def _timed(chosen: "list[Entry]", batch: int, device: str, threads: int, anyway: bool) -> "Bench":
    from scalesearch.latency import bench
    from scalesearch.progress import turns_shown

    with turns_shown() as on_turn:
        return bench(
            chosen,
            reference=entry("efficientnet_b0"),
            batch_sizes=[batch],
            device=device,
            threads=threads,
            anyway=anyway,
            on_turn=on_turn,
        )


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    from scalesearch.plots import write_figure
    from scalesearch.plots.compared import compared, compared_figure

    if all(row["top1"] is None for row in rows):
        print("no figure, as no accuracy is known; --top1 NETWORK=0.77 gives one", file=sys.stderr)
        return
    data = compared(rows)
    write_figure(compared_figure(data), path)
    print(f"wrote {path}.png and .svg", file=sys.stderr)
    if data.left_out:
        print(
            f"not drawn, as no accuracy is known: {', '.join(data.left_out)}; "
            "--top1 NETWORK=0.77 gives one",
            file=sys.stderr,
        )


def _given(texts: list[str], chosen: "list[Entry]") -> dict[str, float]:
    names = {one.name for one in chosen}
    found = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            accuracy = float(value)
        except ValueError:
            accuracy = -1.0
        if name not in names or not 0 < accuracy < 1:
            raise ArchitectureError(
                f"--top1: need NETWORK=FRACTION of a network that is compared, such as "
                f"{chosen[0].name}=0.77, got {text!r}"
            )
        found[name] = accuracy
    return found
