"""The command that times networks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.entries import NETWORK_HELP, read_named_networks, read_named_network
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import require_architecture, code_allowed_if
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture
    from scalesearch.architectures.latency_model import LatencyModel

# The parts of scalesearch are imported within the functions: help has no use for torch.

AnywayOption = Annotated[bool, typer.Option("--anyway", help="Also while the machine does other work.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
ThreadsOption = Annotated[int, typer.Option(help="CPU threads.", min=1)]


def bench(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...", help=f"{NETWORK_HELP}.")],
    batch: Annotated[str, typer.Option(metavar="A,B", help="Images of a pass.")] = "1,8,64",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
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
    anyway: AnywayOption = False,
    csv: Annotated[Path | None, typer.Option(metavar="OUT", help="Write the rows here.")] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Time networks by turns, beside a reference, on a machine that does nothing else."""
    from scalesearch.latency import run_benchmark as time_networks_function
    from scalesearch.progress import show_benchmark_rounds
    from scalesearch.tables import print_json, print_table, write_csv

    sizes = _parse_batch_sizes(batch)
    with code_allowed_if(allow_code):
        named_networks, reference_network = read_named_networks(networks), read_named_network(reference)
        model = _latency_model_or_baseline(check_model)
        with show_benchmark_rounds() as on_turn:
            benchmark = time_networks_function(
                named_networks,
                reference=reference_network,
                batch_sizes=sizes,
                device=device,
                threads=threads,
                anyway=anyway,
                model_to_check=model,
                target_runs=runs,
                target_seconds=seconds,
                on_turn=on_turn,
            )
    for warning in benchmark.warning_texts:
        print(f"warning: {warning}", file=sys.stderr)
    if csv is not None:
        print(f"wrote {write_csv(csv, benchmark.rows())}", file=sys.stderr)
    if as_json:
        print_json(benchmark.document())
        return
    device_text = benchmark.device
    if device_text == "cpu":
        device_text = f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    print_table(benchmark.rows(), title=f"{device_text}; ratios to {benchmark.reference}, round by round")
    for check in benchmark.checks:
        print(check.summary)


def _parse_batch_sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise ArchitectureError(
            f"--batch: need numbers of images with commas between, such as 1,8,64, got {text!r}"
        )
    return list(dict.fromkeys(sizes))


def _latency_model_or_baseline(text: str | None) -> "LatencyModel | Architecture | None":
    from scalesearch.architectures.latency_model import read_latency_model
    from scalesearch.nets.peers import ExternalNetwork

    if text is None:
        return None
    if text.endswith(".json"):
        return read_latency_model(text)
    network = read_named_network(text).network
    if isinstance(network, ExternalNetwork):
        raise ArchitectureError(
            f"--check-model: need a network as data, got {text}, which another package makes; name "
            "a baseline"
        )
    return require_architecture(network)
