"""The command that puts networks beside each other."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.benching import AnywayOption, DeviceOption, ThreadsOption
from scalesearch.cli.entries import NETWORK_HELP, read_named_networks, read_named_network
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import code_allowed_if
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.latency import Benchmark
    from scalesearch.nets import NamedNetwork

# The parts of scalesearch are imported within the functions: help has no use for torch.


def compare(
    networks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NETWORK...]", help=f"{NETWORK_HELP}; by default seven that people know."),
    ] = None,
    top1: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK=X", help="ImageNet accuracy that no paper prints: 0.77."),
    ] = None,
    latency: Annotated[bool, typer.Option("--latency", help="Time them, as `bench` does.")] = False,
    batch: Annotated[int, typer.Option(help="Images of a pass, for --latency.", min=1)] = 1,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    anyway: AnywayOption = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write compare.csv, .png and .svg here.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """What networks cost and reach: size, multiply-adds, latency, accuracy as printed."""
    from scalesearch.compared import DEFAULT_NETWORKS, comparison_rows
    from scalesearch.tables import print_json, print_table, write_csv

    with code_allowed_if(allow_code):
        named_networks = read_named_networks(networks or DEFAULT_NETWORKS)
        accuracies = _parse_accuracies(top1 or [], named_networks)
        benchmark = _run_benchmark(named_networks, batch, device, threads, anyway) if latency else None
        rows = comparison_rows(named_networks, top1=accuracies, timings=benchmark.timings if benchmark else None)
    for warning in benchmark.warning_texts if benchmark else ():
        print(f"warning: {warning}", file=sys.stderr)
    if out is not None:
        print(f"wrote {write_csv(out / 'compare.csv', rows)}", file=sys.stderr)
        _write_figure(rows, out / "compare")
    document: dict[str, Any] = {"networks": rows}
    if benchmark is not None:
        document["latency"] = benchmark.document()
    print_json(document) if as_json else print_table(rows)


def _run_benchmark(named_networks: "list[NamedNetwork]", batch: int, device: str, threads: int, anyway: bool) -> "Benchmark":
    from scalesearch.latency import run_benchmark
    from scalesearch.progress import show_benchmark_rounds

    with show_benchmark_rounds() as on_turn:
        return run_benchmark(
            named_networks,
            reference=read_named_network("efficientnet_b0"),
            batch_sizes=[batch],
            device=device,
            threads=threads,
            anyway=anyway,
            on_turn=on_turn,
        )


def _write_figure(rows: list[dict[str, Any]], path: Path) -> None:
    from scalesearch.plots import write_figure
    from scalesearch.plots.compared import accuracy_cost_plot, accuracy_cost_figure

    if all(row["top1"] is None for row in rows):
        print("no figure, as no accuracy is known; --top1 NETWORK=0.77 gives one", file=sys.stderr)
        return
    figure_data = accuracy_cost_plot(rows)
    write_figure(accuracy_cost_figure(figure_data), path)
    print(f"wrote {path}.png and .svg", file=sys.stderr)
    if figure_data.names_without_accuracy:
        print(
            f"not drawn, as no accuracy is known: {', '.join(figure_data.names_without_accuracy)}; "
            "--top1 NETWORK=0.77 gives one",
            file=sys.stderr,
        )


def _parse_accuracies(texts: list[str], named_networks: "list[NamedNetwork]") -> dict[str, float]:
    names = {named_network.name for named_network in named_networks}
    accuracies = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            accuracy = float(value)
        except ValueError:
            accuracy = -1.0
        if name not in names or not 0 < accuracy < 1:
            raise ArchitectureError(
                f"--top1: need NETWORK=FRACTION of a network that is compared, such as "
                f"{named_networks[0].name}=0.77, got {text!r}"
            )
        accuracies[name] = accuracy
    return accuracies
