"""What an answer to "what does this network cost?" costs: closed form, fvcore, torch.

    python benchmarks/cost.py [--rounds N] [--json]

The three count the same networks in turn within one run, so that a busy machine slows them alike;
each figure is a median over rounds. Theirs are timed at their best: the network is built
beforehand, and torch's counter runs on the meta device (fvcore traces and has to compute).
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.grid import reachable_grid
from scalesearch.candidates.iso_cost import iso_cost_set
from scalesearch.models.network import build_model

NETWORKS = {
    "B0 at 224 px": efficientnet_b0(),
    "B0 x0.25 at 32 px": efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10),
}
REPEATS = 300  # of the closed form for one timing: a single one is too short for the clock


@dataclass(frozen=True, slots=True)
class Timing:
    """Median seconds of one count of one network."""

    network: str
    closed_form: float
    fvcore: float
    flop_counter: float


def timings(rounds: int) -> Iterator[Timing]:
    """Each network counted by all three in turn, ``rounds`` times."""
    for name, architecture in NETWORKS.items():
        counters = (closed_form(architecture), by_fvcore(architecture), by_torch(architecture))
        macs = {counter() for counter in counters}
        if macs != {cost(architecture).macs}:
            raise SystemExit(f"{name}: the counts differ: {sorted(macs)}")
        laps = [
            [
                seconds(counter, times)
                for counter, times in zip(counters, (REPEATS, 1, 1), strict=True)
            ]
            for _ in range(rounds)
        ]
        yield Timing(name, *(statistics.median(column) for column in zip(*laps, strict=True)))


def closed_form(architecture: Architecture) -> Callable[[], int]:
    return lambda: cost(architecture).macs


def by_fvcore(architecture: Architecture) -> Callable[[], int]:
    network = build_model(architecture).eval()
    images_BCHW = images(architecture, "cpu")

    def count() -> int:
        analysis = FlopCountAnalysis(network, images_BCHW)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
        return int(operators["conv"] + operators["linear"])

    return count


def by_torch(architecture: Architecture) -> Callable[[], int]:
    with torch.device("meta"):
        network = build_model(architecture).eval()
    images_BCHW = images(architecture, "meta")

    def count() -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images_BCHW)
        return int(counter.get_total_flops()) // 2

    return count


def images(architecture: Architecture, device: str) -> torch.Tensor:
    side = architecture.resolution
    return torch.zeros(1, architecture.in_channels, side, side, device=device)


def seconds(act: Callable[[], object], times: int = 1) -> float:
    """Mean seconds of one call."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - start) / times


def combinations_per_second(rounds: int) -> tuple[int, float]:
    """How many combinations of B0's iso-cost grid there are, and how many are judged a second."""
    baseline, budget = efficientnet_b0(), Budget()
    size = reachable_grid(baseline, budget).size
    laps = [seconds(lambda: iso_cost_set(baseline, budget)) for _ in range(rounds)]
    return size, size / statistics.median(laps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON document, nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # fvcore traces with torch.jit, which newer versions of PyTorch call deprecated.
    warnings.filterwarnings("ignore", category=DeprecationWarning)

    measured = list(timings(options.rounds))
    size, rate = combinations_per_second(options.rounds)
    if options.json:
        print(json.dumps(document(measured, size, rate), indent=2))
        return
    for timing in measured:
        print(
            f"{timing.network:18}  closed form {timing.closed_form * 1e6:6.1f} µs"
            f"   fvcore {timing.fvcore * 1e3:7.1f} ms ({timing.fvcore / timing.closed_form:,.0f}x)"
            f"   flop_counter {timing.flop_counter * 1e3:7.1f} ms "
            f"({timing.flop_counter / timing.closed_form:,.0f}x)"
        )
    print(f"isocost of B0: {size:,} combinations, {rate:,.0f} a second")


def document(measured: list[Timing], size: int, rate: float) -> dict[str, Any]:
    """The figures as JSON values; those at the top are of the first network, B0 itself."""
    b0 = measured[0]
    return {
        "cost_microseconds": b0.closed_form * 1e6,
        "cost_vs_fvcore": b0.fvcore / b0.closed_form,
        "cost_vs_flop_counter": b0.flop_counter / b0.closed_form,
        "isocost_combinations": size,
        "isocost_combinations_per_second": rate,
        "networks": {
            timing.network: {
                "cost_microseconds": timing.closed_form * 1e6,
                "fvcore_microseconds": timing.fvcore * 1e6,
                "flop_counter_microseconds": timing.flop_counter * 1e6,
            }
            for timing in measured
        },
    }


if __name__ == "__main__":
    main()
