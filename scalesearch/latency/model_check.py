"""A latency model beside the stopwatch: how well it predicts networks that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalesearch.architectures import Architecture
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.errors import ArchitectureError
from scalesearch.latency.bench import NetworkTiming
from scalesearch.latency.calibration import pearson_correlation
from scalesearch.nets import NamedNetwork

MIN_NETWORKS_FOR_CORRELATION = 3
"""Networks that a correlation is told of."""


@dataclass(frozen=True, slots=True)
class LatencyPrediction:
    """A network's measured seconds for a batch, and the model's."""

    name: str
    seconds: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative; above 0 where the model says too much."""
        return self.predicted / self.seconds - 1


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """``correlation``: of the logarithms of predicted and measured seconds, None where there are
    fewer than ``FEWEST`` networks; ``median_error``: of the relative errors, without their signs.
    """

    batch_size: int
    networks: tuple[LatencyPrediction, ...]
    correlation: float | None
    median_error: float

    @property
    def summary(self) -> str:
        correlation_text = "-" if self.correlation is None else f"{self.correlation:.3f}"
        images_text = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        return (
            f"latency model, {images_text}: r {correlation_text}, median error {self.median_error:.1%} over "
            f"{len(self.networks)} networks"
        )


def check_latency_model(
    model: LatencyModel, named_networks: Sequence[NamedNetwork], timings: Sequence[NetworkTiming]
) -> ModelCheck:
    """The model's predictions of what was measured eagerly at its batch size.

    Networks that code or another package makes have no blocks to predict from, and are left out.
    Raises ArchitectureError where nothing is left.
    """
    architectures = {
        named_network.name: named_network.network for named_network in named_networks if isinstance(named_network.network, Architecture)
    }
    networks = tuple(
        LatencyPrediction(row.name, row.seconds, model.predicted_seconds(architectures[row.name]))
        for row in timings
        if row.name in architectures
        and row.mode == "eager"
        and row.batch_size == model.batch_size
        and row.seconds is not None
    )
    if not networks:
        raise ArchitectureError(
            f"latency model: need networks as data, measured at its batch of {model.batch_size}, "
            f"got none; add {model.batch_size} to --batch"
        )
    correlation_value = None
    if len(networks) >= MIN_NETWORKS_FOR_CORRELATION:
        predicted_logs, measured_logs = (np.log([getattr(prediction, name) for prediction in networks]) for name in _SECONDS_FIELDS)
        correlation_value = pearson_correlation(predicted_logs, measured_logs)
    error = float(np.median([abs(network.error) for network in networks]))
    return ModelCheck(model.batch_size, networks, correlation_value, error)


def require_same_device(model: LatencyModel, device: str, threads: int) -> None:
    """Raise ArchitectureError where a model is of another device, or of other threads."""
    if model.device != device or (device == "cpu" and model.threads != threads):
        raise ArchitectureError(
            f"latency model: need one of this device ({device}, {threads} threads), got one of "
            f"{model.device}, {model.threads} threads; `scalesearch calibrate` makes one"
        )


_SECONDS_FIELDS = ("predicted", "seconds")
