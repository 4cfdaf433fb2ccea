"""Commands that time networks and compare them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    BenchmarkDevice,
    Threads,
    parse_whole_numbers,
)
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.api.timings import NetworkComparison

NETWORK_HELP = (
    "A baseline, efficientnet_b0 to b7, a YAML file of stages, FAMILY.json:b2, FOLDER:best, "
    "NETWORK.safetensors, torchvision:NAME or timm:NAME"
)

AnywayOption = Annotated[
    bool, typer.Option("--anyway", help="Measure even while the machine does other work.")
]


def bench(
    networks: Annotated[list[str], typer.Argument(metavar="NETWORK...", help=f"{NETWORK_HELP}.")],
    batch: Annotated[
        str, typer.Option(metavar="LIST", help="Batch sizes, with commas between.")
    ] = "1,8,64",
    device: BenchmarkDevice = "cpu",
    threads: Threads = 1,
    reference: Annotated[
        str, typer.Option(metavar="NETWORK", help="Network that the others are compared with.")
    ] = "efficientnet_b0",
    check_model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NETWORK",
            help="Check the latency model that `fit-latency --out FILE` wrote, or one fitted here "
            "around the baseline NETWORK.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(help="Number of timed passes of each network.", min=1)] = 100,
    seconds: Annotated[
        float, typer.Option(help="Longest time for the passes of one network, in seconds.")
    ] = 1.0,
    anyway: AnywayOption = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows to this CSV file.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Time networks in turns with a reference."""
    from scalesearch.cli.printing import print_written
    from scalesearch.reporting.console import print_json, print_table

    benchmark = ss.time_networks(
        networks,
        reference=reference,
        batch_sizes=parse_whole_numbers("--batch", batch, "1,8,64", ArchitectureError),
        device=device,
        threads=threads,
        check_model=check_model,
        runs=runs,
        seconds=seconds,
        anyway=anyway,
        csv=csv,
        allow_code=allow_code,
        progress=True,
    )
    _print_warnings(benchmark.warning_texts)
    if csv is not None:
        print_written(csv)
    if as_json:
        print_json(benchmark.document())
        return
    measured = benchmark.device
    if measured == "cpu":
        measured = f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    title = f"{measured}; ratios to {benchmark.reference}, round by round"
    print_table(benchmark.rows(), title=title)
    for check in benchmark.checks:
        print(check.summary)


def compare(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK...]", help=f"{NETWORK_HELP}; by default seven known networks."
        ),
    ] = None,
    top1: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK=X",
            help="ImageNet accuracy of a network, such as mine.yaml=0.77; may be repeated.",
        ),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Also time the networks, as `bench` does.")
    ] = False,
    batch: Annotated[int, typer.Option(help="With --latency: batch size.", min=1)] = 1,
    device: BenchmarkDevice = "cpu",
    threads: Threads = 1,
    anyway: AnywayOption = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write compare.csv and the figure into this folder."),
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Compare the cost, accuracy and latency of networks."""
    from scalesearch.benchmarking.model_table import DEFAULT_NETWORKS
    from scalesearch.reporting.console import print_json, print_table

    comparison = ss.compare_networks(
        networks or DEFAULT_NETWORKS,
        top1=_parse_accuracies(top1 or []),
        latency=latency,
        batch_size=batch,
        device=device,
        threads=threads,
        anyway=anyway,
        out=out,
        allow_code=allow_code,
        progress=True,
    )
    if comparison.benchmark is not None:
        _print_warnings(comparison.benchmark.warning_texts)
    if out is not None:
        _print_compared_files(comparison, out)
    print_json(comparison.document) if as_json else print_table(comparison.rows)


def _print_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _print_compared_files(comparison: "NetworkComparison", out: Path) -> None:
    from scalesearch.cli.printing import print_written

    print_written(out / "compare.csv")
    if not comparison.has_figure:
        print("no figure, as no accuracy is known; --top1 NETWORK=0.77 gives one", file=sys.stderr)
        return
    print_written(f"{out / 'compare'}.png and .svg")
    if comparison.names_without_accuracy:
        print(
            f"not drawn, as no accuracy is known: {', '.join(comparison.names_without_accuracy)}; "
            "--top1 NETWORK=0.77 gives one",
            file=sys.stderr,
        )


def _parse_accuracies(texts: Sequence[str]) -> dict[str, float]:
    accuracies = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            accuracies[name] = float(value)
        except ValueError:
            raise ArchitectureError(
                "--top1: need NETWORK=FRACTION of a network that is compared, such as "
                f"efficientnet_b0=0.77, got {text!r}"
            ) from None
    return accuracies
