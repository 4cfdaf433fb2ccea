"""A latency model fitted to networks around a baseline, measured on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.latency_model import (
    COEFFICIENT_FIELDS,
    LatencyModel,
    latency_document,
)
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.benchmarking.forward_passes import (
    device_name,
    find_device,
    network_on_device,
)
from scalesearch.errors import ArchitectureError
from scalesearch.io import export_text, json_text
from scalesearch.models.named import NamedNetwork
from scalesearch.models.stopwatch import time_rounds, use_threads
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

MULTIPLIERS_AROUND = tuple(
    Multipliers(*by)
    for by in (
        *((1, 1, 1), (0.5, 1, 1), (2, 1, 1), (1, 0.5, 1), (1, 1.5, 1), (1, 2, 1)),
        *(
            (1, 1, 0.7),
            (1, 1, 1.25),
            (1, 1, 1.5),
            (2, 0.7, 0.8),
            (0.5, 1.5, 1.25),
            (1.5, 1.25, 0.8),
        ),
        *((1.5, 0.6, 1.4), (1.2, 1.1, 1.15), (1.4, 1.2, 1.3)),
    )
)
"""Networks that a model is fitted to: each axis alone, against the others, and together.

They cost from about a quarter to four times the baseline's multiply-adds.
"""

MIN_NETWORKS = 2 * len(COEFFICIENT_FIELDS)
"""Least number of distinct networks for a model with this many prices."""

WARM_UP_PASSES_PER_NETWORK = 3
"""Passes before the first that counts: they allocate memory and choose algorithms."""

MIN_SIZE_SHARE = 0.05
"""A smaller part of the time is noise and measures neither width nor resolution."""

MeasureLatencies: TypeAlias = Callable[[Sequence[Architecture]], Sequence[float]]
"""Function from networks to their seconds."""


@dataclass(frozen=True, slots=True)
class HeldOutPrediction:
    """Measured seconds of a network, and those predicted from the *other* networks."""

    architecture: Architecture
    seconds: float
    predicted: float


@dataclass(frozen=True, slots=True)
class LatencyFit:
    """A model, and the networks it was fitted to."""

    model: LatencyModel
    predictions: tuple[HeldOutPrediction, ...]

    @property
    def summary(self) -> str:
        """Line about the quality of the predictions."""
        model = self.model
        images_text = "1 image" if model.batch_size == 1 else f"{model.batch_size} images"
        threads_text = "1 thread" if model.threads == 1 else f"{model.threads} threads"
        device_text = f"{model.device}, {threads_text}" if model.device == "cpu" else model.device
        correlation_text = "-" if model.correlation is None else f"{model.correlation:.3f}"
        return (
            f"{images_text} on {device_text}: each of {len(self.predictions)} networks predicted "
            f"from the others, median error {model.median_error:.1%}, "
            f"correlation {correlation_text}"
        )


def fit_latency(
    baseline: Architecture,
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
    measure_latencies_function: MeasureLatencies | None = None,
) -> LatencyFit:
    """Measure a dozen networks around the baseline and fit a latency model to them.

    The prices are non-negative and minimise the squared relative error, so small networks count as
    much as large ones. Their quality is stated for networks they were not fitted to.
    ``measure_latencies_function``: replaces ``measure_latencies``. Raises ArchitectureError if
    there are too few networks, or if their times do not depend on their cost.
    """
    networks = scaled_networks(baseline)
    if measure_latencies_function is None:
        measured = measure_latencies(
            networks, batch_size=batch_size, device=device, threads=threads, rounds=rounds
        )
    else:
        measured = list(measure_latencies_function(networks))
    seconds = np.array(measured, dtype=np.float64)
    costs = np.array([_priced_costs(network, batch_size) for network in networks], dtype=np.float64)
    fitted_prices = fit_prices(costs, seconds)
    other_networks = ~np.eye(len(networks), dtype=bool)
    held_out_seconds = np.array(
        [
            network_costs @ fit_prices(costs[is_other], seconds[is_other])
            for network_costs, is_other in zip(costs, other_networks, strict=True)
        ]
    )
    _require_size_dependence(costs.max(axis=0) * fitted_prices)
    model = LatencyModel(
        **dict(zip(COEFFICIENT_FIELDS, fitted_prices.tolist(), strict=True)),
        batch_size=batch_size,
        device=device_name(device),
        threads=threads,
        correlation=pearson_correlation(np.log(held_out_seconds), np.log(seconds)),
        median_error=float(np.median(np.abs(held_out_seconds / seconds - 1))),
    )
    rows = zip(networks, seconds.tolist(), held_out_seconds.tolist(), strict=True)
    return LatencyFit(model, tuple(HeldOutPrediction(*row) for row in rows))


def measure_latencies(
    architectures: Sequence[Architecture],
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
) -> list[float]:
    """Median seconds of each network's forward pass in float32, measured in turns.

    All of them are on the device at once. Raises ArchitectureError for a missing device.
    """
    for name, value in (("batch_size", batch_size), ("threads", threads), ("rounds", rounds)):
        if value < 1:
            raise ArchitectureError(f"{name}: need at least 1, got {value}")
    torch_device = find_device(device)
    with use_threads(threads), torch.inference_mode():
        passes = []
        for architecture in architectures:
            named_network = NamedNetwork(fingerprint(architecture), architecture)
            network, images_BCHW = network_on_device(named_network, batch_size, torch_device)
            passes.append(partial(network, images_BCHW))
        for _ in range(WARM_UP_PASSES_PER_NETWORK):
            for run in passes:
                run()
        seconds = list(time_rounds(passes, rounds, device=torch_device))
    return [median(turn[0] for turn in turns) for turns in zip(*seconds, strict=True)]


def latency_fit_document(latency_fit: LatencyFit) -> dict[str, Any]:
    """JSON values of a fit: ``latency``, the model, and ``networks``, a flat row each."""
    rows = [
        {
            "blocks": prediction.architecture.num_blocks,
            "resolution": prediction.architecture.resolution,
            **asdict(cost(prediction.architecture)),
            "seconds": prediction.seconds,
            "predicted_seconds": prediction.predicted,
            "error": prediction.predicted / prediction.seconds - 1,
            "fingerprint": fingerprint(prediction.architecture),
        }
        for prediction in latency_fit.predictions
    ]
    return latency_document(latency_fit.model, rows)


def write_latency_fit(path: Path, document: dict[str, Any]) -> Path:
    """Write a document that ``read_latency_model`` reads.

    Raises ExportError if it cannot be written.
    """
    return export_text(path, json_text(document))


def scaled_networks(baseline: Architecture) -> list[Architecture]:
    """Distinct networks of ``MULTIPLIERS_AROUND``, the baseline first.

    Raises ArchitectureError if the baseline is too small to give ``MIN_NETWORKS``.
    """
    networks = dict.fromkeys(
        scale(baseline, multipliers, ROUNDINGS["even"]) for multipliers in MULTIPLIERS_AROUND
    )
    if len(networks) < MIN_NETWORKS:
        raise ArchitectureError(
            f"fit-latency: need {MIN_NETWORKS} distinct networks around the baseline, got "
            f"{len(networks)}; take a larger baseline"
        )
    return list(networks)


def fit_prices(costs: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative prices that minimise the squared relative error.

    ``costs``: (networks, prices). ``seconds``: (networks).
    """
    relative_costs = costs / seconds[:, None]
    scales = np.linalg.norm(
        relative_costs, axis=0
    )  # MACs and blocks differ by seven orders of magnitude
    scaled_prices, _ = nnls(relative_costs / scales, np.ones(len(seconds)))
    fitted_prices: NDArray[np.float64] = scaled_prices / scales
    return fitted_prices


def _priced_costs(network: Architecture, batch_size: int) -> tuple[int, int, int, int]:
    """Amounts of a network that each price applies to."""
    network_cost = cost(network)
    return (
        network_cost.macs * batch_size,
        network_cost.activations * batch_size,
        network.num_blocks,
        1,
    )


def _require_size_dependence(seconds: NDArray[np.float64]) -> None:
    """Raise unless a large network's time depends on its size."""
    share = seconds[:2].sum() / seconds.sum()
    if share < MIN_SIZE_SHARE:
        raise ArchitectureError(
            f"fit-latency: need at least {MIN_SIZE_SHARE:.0%} of a large network's time to be for "
            f"its multiply-adds and activations, got {share:.1%}; take a larger batch or "
            "resolution, or an idle machine"
        )


def pearson_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Pearson's r; None if one of them is constant."""
    if min(np.ptp(first), np.ptp(second)) < 1e-12:
        return None
    return float(np.corrcoef(first, second)[0, 1])
