"""Networks side by side: timed in turns, or by their cost and published accuracy."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.api.network_lookup import (
    code_allowed_if,
    read_named_network,
    read_named_networks,
    require_architecture,
)
from scalesearch.architectures.latency_model import LatencyModel, read_latency_model
from scalesearch.architectures.stages import Architecture
from scalesearch.benchmarking import benchmark as benchmarks
from scalesearch.benchmarking.benchmark import Benchmark
from scalesearch.benchmarking.model_table import DEFAULT_NETWORKS, comparison_rows
from scalesearch.errors import ArchitectureError
from scalesearch.figures.accuracy_cost import accuracy_cost_figure, accuracy_cost_plot
from scalesearch.figures.style import write_figure
from scalesearch.models.named import ExternalNetwork, NamedNetwork
from scalesearch.reporting.console import write_csv
from scalesearch.reporting.terminal.display import show_benchmark_rounds


@contextmanager
def _shown_rounds(progress: bool) -> Iterator[dict[str, Any]]:
    if not progress:
        yield {}
        return
    with show_benchmark_rounds() as on_turn:
        yield {"on_turn": on_turn}


def time_networks(
    networks: Sequence[str],
    *,
    reference: str = "efficientnet_b0",
    batch_sizes: Sequence[int] = (1, 8, 64),
    device: str = "cpu",
    threads: int = 1,
    check_model: str | None = None,
    runs: int = 100,
    seconds: float = 1.0,
    anyway: bool = False,
    csv: str | Path | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> Benchmark:
    """Time networks in turns with a reference, on a machine that does nothing else.

    ``networks``: names that ``read_named_network`` takes. ``check_model``: a file of a latency
    model, or a baseline around which one is fitted, to compare with what is measured. ``runs``,
    ``seconds``: timed passes of each network, and their longest time. ``anyway``: also while the
    machine does other work. ``csv``: a file for the rows.
    """
    with code_allowed_if(allow_code):
        named_networks = read_named_networks(networks)
        reference_network = read_named_network(reference)
        model = latency_model_or_baseline(check_model)
        with _shown_rounds(progress) as callbacks:
            benchmark = benchmarks.run_benchmark(
                named_networks,
                reference=reference_network,
                batch_sizes=list(batch_sizes),
                device=device,
                threads=threads,
                anyway=anyway,
                model_to_check=model,
                target_runs=runs,
                target_seconds=seconds,
                **callbacks,
            )
    if csv is not None:
        write_csv(Path(csv), benchmark.rows())
    return benchmark


def latency_model_or_baseline(text: str | None) -> LatencyModel | Architecture | None:
    """Return the latency model of a ``.json`` file, or the network to fit one to."""
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


@dataclass(frozen=True, slots=True)
class NetworkComparison:
    """Networks with their cost, accuracy and, if they were timed, latency."""

    rows: Sequence[Mapping[str, Any]]
    benchmark: Benchmark | None
    names_without_accuracy: tuple[str, ...]
    """Networks that the figure leaves out."""

    @property
    def has_figure(self) -> bool:
        """Whether there is a figure: the accuracy of some network is known."""
        return len(self.names_without_accuracy) < len(self.rows)

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        document: dict[str, Any] = {"networks": self.rows}
        if self.benchmark is not None:
            document["latency"] = self.benchmark.document()
        return document


def compare_networks(
    networks: Sequence[str] = DEFAULT_NETWORKS,
    *,
    top1: Mapping[str, float] | None = None,
    latency: bool = False,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    anyway: bool = False,
    out: str | Path | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> NetworkComparison:
    """Compare the size, multiply-adds, published accuracy and latency of networks.

    ``top1``: ImageNet accuracies that no paper prints, by network. ``latency``: time them, as
    ``time_networks`` does. ``out``: a folder for ``compare.csv`` and the figure.
    """
    benchmark = None
    with code_allowed_if(allow_code):
        named_networks = read_named_networks(networks)
        accuracies = _checked_accuracies(top1 or {}, named_networks)
        if latency:
            with _shown_rounds(progress) as callbacks:
                benchmark = benchmarks.run_benchmark(
                    named_networks,
                    reference=read_named_network("efficientnet_b0"),
                    batch_sizes=[batch_size],
                    device=device,
                    threads=threads,
                    anyway=anyway,
                    **callbacks,
                )
        timings = benchmark.timings if benchmark else None
        rows = comparison_rows(named_networks, top1=accuracies, timings=timings)
    plot = None
    if any(row["top1"] is not None for row in rows):
        plot = accuracy_cost_plot(rows)
    if out is not None:
        write_csv(Path(out) / "compare.csv", rows)
        if plot is not None:
            write_figure(accuracy_cost_figure(plot), Path(out) / "compare")
    missing = tuple(row["network"] for row in rows) if plot is None else plot.names_without_accuracy
    return NetworkComparison(rows, benchmark, tuple(missing))


def _checked_accuracies(
    top1: Mapping[str, float], named_networks: Sequence[NamedNetwork]
) -> dict[str, float]:
    names = {named_network.name for named_network in named_networks}
    for name, accuracy in top1.items():
        if name not in names or not 0 < accuracy < 1:
            raise ArchitectureError(
                f"--top1: need NETWORK=FRACTION of a network that is compared, such as "
                f"{named_networks[0].name}=0.77, got '{name}={accuracy:g}'"
            )
    return dict(top1)
