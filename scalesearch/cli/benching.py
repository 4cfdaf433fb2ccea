"""The command that times networks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.entries import KINDS, entries, entry
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import as_data, code
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture
    from scalesearch.architectures.latency_model import LatencyModel

# The parts of scalesearch are imported within the functions: help has no use for torch.

Anyway = Annotated[bool, typer.Option("--anyway", help="Also while the machine does other work.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(help="CPU threads.", min=1)]


def bench(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...", help=f"{KINDS}.")],
    batch: Annotated[str, typer.Option(metavar="A,B", help="Images of a pass.")] = "1,8,64",
    device: Device = "cpu",
    threads: Threads = 1,
    reference: Annotated[
        str, typer.Option(metavar="NETWORK", help="What the others are measured beside.")
    ] = "efficientnet_b0",
    check_model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NETWORK",
            help="Check the latency model of `calibrate --out FILE`, or of NETWORK's calibration.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(help="Timed passes of each network ...", min=1)] = 100,
    seconds: Annotated[float, typer.Option(help="... or for so long, if that is less.")] = 1.0,
    anyway: Anyway = False,
    csv: Annotated[Path | None, typer.Option(metavar="OUT", help="Write the rows here.")] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Time networks by turns, beside a reference, on a machine that does nothing else."""
    from scalesearch.latency import bench as timed
    from scalesearch.progress import turns_shown
    from scalesearch.tables import print_json, print_table, write_csv

    sizes = _sizes(batch)
    with code(allow_code):
        chosen, beside = entries(networks), entry(reference)
        model = _model(check_model)
        with turns_shown() as on_turn:
            found = timed(
                chosen,
                reference=beside,
                batch_sizes=sizes,
                device=device,
                threads=threads,
                anyway=anyway,
                check=model,
                least_runs=runs,
                least_seconds=seconds,
                on_turn=on_turn,
            )
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if csv is not None:
        print(f"wrote {write_csv(csv, found.rows())}", file=sys.stderr)
    if as_json:
        print_json(found.document())
        return
    where = found.device
    if where == "cpu":
        where = f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    print_table(found.rows(), title=f"{where}; ratios to {found.reference}, round by round")
    for check in found.checks:
        print(check.summary)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise ArchitectureError(
            f"--batch: need numbers of images with commas between, such as 1,8,64, got {text!r}"
        )
    return list(dict.fromkeys(sizes))


def _model(text: str | None) -> "LatencyModel | Architecture | None":
    from scalesearch.architectures.latency_model import read_latency_model
    from scalesearch.nets.peers import Peer

    if text is None:
        return None
    if text.endswith(".json"):
        return read_latency_model(text)
    network = entry(text).network
    if isinstance(network, Peer):
        raise ArchitectureError(
            f"--check-model: need a network as data, got {text}, which another package makes; name "
            "a baseline"
        )
    return as_data(network)
