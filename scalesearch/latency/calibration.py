"""A latency model fitted to networks around a baseline, measured on this machine."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from scalesearch.architectures import Architecture, cost, fingerprint, scaled
from scalesearch.architectures.latency_model import PRICES, LatencyModel, latency_document
from scalesearch.errors import ArchitectureError, ExportError
from scalesearch.files import write_text
from scalesearch.latency.stopwatch import device_name, measured_in_turn
from scalesearch.scaling import ROUNDINGS, Multipliers

AROUND = tuple(
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
"""The networks that a model is fitted to: each axis alone, against the others, and together, from
about a quarter to four times the baseline's multiply-adds."""

FEWEST = 2 * len(PRICES)
"""Distinct networks that a model of so many prices is fitted to, at least."""

LEAST = 0.05
"""A smaller share of the time is noise, and no measure of width or resolution."""

Times: TypeAlias = Callable[[Sequence[Architecture]], Sequence[float]]
"""Networks to the seconds that each takes."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A network, its measured seconds, and those that a model of the *other* networks predicts."""

    architecture: Architecture
    seconds: float
    predicted: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A model, and the networks it was fitted to."""

    model: LatencyModel
    timings: tuple[Timing, ...]

    @property
    def summary(self) -> str:
        """How well the model predicts, and of what, in a line."""
        model = self.model
        images = "1 image" if model.batch_size == 1 else f"{model.batch_size} images"
        threads = "1 thread" if model.threads == 1 else f"{model.threads} threads"
        where = f"{model.device}, {threads}" if model.device == "cpu" else model.device
        r = "-" if model.correlation is None else f"{model.correlation:.3f}"
        return (
            f"{images} on {where}: each of {len(self.timings)} networks predicted from the others, "
            f"median error {model.median_error:.1%}, correlation {r}"
        )


def calibrate(
    baseline: Architecture,
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
    times: Times | None = None,
) -> Calibration:
    """Measure a dozen networks around the baseline (``AROUND``) and fit a latency model to them.

    The prices are the non-negative ones of the least squared relative error, so that small networks
    count as much as large ones. How well they predict is told for networks that they were not
    fitted to. ``times``: another stopwatch than ``measured_in_turn``.

    Raises ArchitectureError where too few networks can be had, or where their times do not depend
    on what they cost.
    """
    networks = networks_around(baseline)
    if times is None:
        measured = measured_in_turn(
            networks, batch_size=batch_size, device=device, threads=threads, rounds=rounds
        )
    else:
        measured = list(times(networks))
    seconds = np.array(measured, dtype=np.float64)
    costs = np.array([_costs(network, batch_size) for network in networks], dtype=np.float64)
    paid = prices(costs, seconds)
    others = ~np.eye(len(networks), dtype=bool)
    held_out = np.array(
        [own @ prices(costs[rest], seconds[rest]) for own, rest in zip(costs, others, strict=True)]
    )
    _require_rising(costs.max(axis=0) * paid)
    model = LatencyModel(
        **dict(zip(PRICES, paid.tolist(), strict=True)),
        batch_size=batch_size,
        device=device_name(device),
        threads=threads,
        correlation=correlation(np.log(held_out), np.log(seconds)),
        median_error=float(np.median(np.abs(held_out / seconds - 1))),
    )
    rows = zip(networks, seconds.tolist(), held_out.tolist(), strict=True)
    return Calibration(model, tuple(Timing(*row) for row in rows))


def calibration_document(found: Calibration) -> dict[str, Any]:
    """The calibration as JSON values: ``latency``, the model, and ``networks``, a flat row each."""
    rows = [
        {
            "blocks": timing.architecture.blocks,
            "resolution": timing.architecture.resolution,
            **asdict(cost(timing.architecture)),
            "seconds": timing.seconds,
            "predicted_seconds": timing.predicted,
            "error": timing.predicted / timing.seconds - 1,
            "fingerprint": fingerprint(timing.architecture),
        }
        for timing in found.timings
    ]
    return latency_document(found.model, rows)


def write_calibration(path: Path, document: dict[str, Any]) -> Path:
    """Write a document that ``read_latency_model`` reads.

    Raises ExportError where nothing can be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def networks_around(baseline: Architecture) -> list[Architecture]:
    """The distinct networks of ``AROUND`` under rounding ``even``, the baseline first.

    Raises ArchitectureError where the baseline is too small to be scaled to ``FEWEST``.
    """
    found = dict.fromkeys(scaled(baseline, by, ROUNDINGS["even"]) for by in AROUND)
    if len(found) < FEWEST:
        raise ArchitectureError(
            f"calibrate: need {FEWEST} distinct networks around the baseline, got {len(found)}; "
            "take a larger baseline"
        )
    return list(found)


def prices(costs: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-negative prices (of ``PRICES``) of the least squared relative error.

    ``costs``: (networks, prices); ``seconds``: (networks).
    """
    relative = costs / seconds[:, None]
    scales = np.linalg.norm(relative, axis=0)  # MACs and blocks are seven orders apart
    scaled_prices, _ = nnls(relative / scales, np.ones(len(seconds)))
    found: NDArray[np.float64] = scaled_prices / scales
    return found


def _costs(network: Architecture, batch_size: int) -> tuple[int, int, int, int]:
    """What is paid for with each of ``PRICES``."""
    spent = cost(network)
    return spent.macs * batch_size, spent.activations * batch_size, network.blocks, 1


def _require_rising(seconds: NDArray[np.float64]) -> None:
    """What a large network pays in each of ``PRICES`` has to be for its size in some part."""
    share = seconds[:2].sum() / seconds.sum()
    if share < LEAST:
        raise ArchitectureError(
            f"calibrate: need at least {LEAST:.0%} of a large network's time to be for its "
            f"multiply-adds and activations, got {share:.1%}; take a larger batch or resolution, "
            "or a machine that does nothing else"
        )


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Pearson's r; None where one of them does not vary."""
    if min(np.ptp(one), np.ptp(other)) < 1e-12:
        return None
    return float(np.corrcoef(one, other)[0, 1])
