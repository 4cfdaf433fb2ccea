"""NETWORK in commands that time and compare: whatever can be named, with or without weights.

The command that times networks.

The command that puts networks beside each other.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AllowCode, AsJson, code_allowed_if, require_architecture
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures.latency_model import LatencyModel
    from scalesearch.architectures.stages import Architecture
    from scalesearch.benchmarking.benchmark import Benchmark
    from scalesearch.models.named import NamedNetwork


NETWORK_HELP = (
    "efficientnet_b0 ... b7, a baseline, a YAML file of stages, FAMILY.json:b2, FOLDER:best, "
    "NETWORK.safetensors, torchvision:NAME or timm:NAME"
)


def read_named_network(text: str) -> "NamedNetwork":
    """The network that a text names, under that name. Code is run only within ``code``."""
    from scalesearch.models.named import NamedNetwork, external_network, is_external_name
    from scalesearch.models.network import Network

    if is_external_name(text):
        return NamedNetwork(text, external_network(text))
    if text.endswith(".safetensors"):
        from scalesearch.training.network_file import read_network

        saved_network = read_network(text)
        options = (
            saved_network.network.options if isinstance(saved_network.network, Network) else None
        )
        return NamedNetwork(text, saved_network.architecture, options)
    from scalesearch.deploy.networks import is_network_reference, network_from_reference

    if is_network_reference(text):
        return NamedNetwork(text, network_from_reference(text).network)
    from scalesearch.benchmarking.model_table import released_efficientnet
    from scalesearch.cli.options import read_baseline

    return NamedNetwork(text, released_efficientnet(text) or read_baseline(text))


def read_named_networks(texts: Sequence[str]) -> "list[NamedNetwork]":
    """Each once, in their order."""
    return [read_named_network(text) for text in dict.fromkeys(texts)]


# The parts of scalesearch are imported within the functions: help has no use for torch.

AnywayOption = Annotated[
    bool, typer.Option("--anyway", help="Also while the machine does other work.")
]
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
            help="Check the latency model that `fit-latency --out FILE` wrote, or one fitted here "
            "around the baseline NETWORK.",
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
    from scalesearch.benchmarking.benchmark import run_benchmark as time_networks_function
    from scalesearch.reporting.console import print_json, print_table, write_csv
    from scalesearch.reporting.terminal.display import show_benchmark_rounds

    sizes = _parse_batch_sizes(batch)
    with code_allowed_if(allow_code):
        named_networks, reference_network = (
            read_named_networks(networks),
            read_named_network(reference),
        )
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
    print_table(
        benchmark.rows(), title=f"{device_text}; ratios to {benchmark.reference}, round by round"
    )
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
    from scalesearch.models.named import ExternalNetwork

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


# The parts of scalesearch are imported within the functions: help has no use for torch.


def compare(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK...]", help=f"{NETWORK_HELP}; by default seven that people know."
        ),
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
    from scalesearch.benchmarking.model_table import DEFAULT_NETWORKS, comparison_rows
    from scalesearch.reporting.console import print_json, print_table, write_csv

    with code_allowed_if(allow_code):
        named_networks = read_named_networks(networks or DEFAULT_NETWORKS)
        accuracies = _parse_accuracies(top1 or [], named_networks)
        benchmark = (
            _run_benchmark(named_networks, batch, device, threads, anyway) if latency else None
        )
        rows = comparison_rows(
            named_networks, top1=accuracies, timings=benchmark.timings if benchmark else None
        )
    for warning in benchmark.warning_texts if benchmark else ():
        print(f"warning: {warning}", file=sys.stderr)
    if out is not None:
        print(f"wrote {write_csv(out / 'compare.csv', rows)}", file=sys.stderr)
        _write_figure(rows, out / "compare")
    document: dict[str, Any] = {"networks": rows}
    if benchmark is not None:
        document["latency"] = benchmark.document()
    print_json(document) if as_json else print_table(rows)


def _run_benchmark(
    named_networks: "list[NamedNetwork]", batch: int, device: str, threads: int, anyway: bool
) -> "Benchmark":
    from scalesearch.benchmarking.benchmark import run_benchmark
    from scalesearch.reporting.terminal.display import show_benchmark_rounds

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
    from scalesearch.figures.accuracy_cost import accuracy_cost_figure, accuracy_cost_plot
    from scalesearch.figures.style import write_figure

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
