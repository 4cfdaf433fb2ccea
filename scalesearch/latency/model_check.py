"""A latency model beside the stopwatch: how well it predicts networks that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalesearch.architectures import Architecture
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.errors import ArchitectureError
from scalesearch.latency.bench import Timed
from scalesearch.latency.calibration import correlation
from scalesearch.nets import Entry

FEWEST = 3
"""Networks that a correlation is told of."""


@dataclass(frozen=True, slots=True)
class Predicted:
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
    networks: tuple[Predicted, ...]
    correlation: float | None
    median_error: float

    @property
    def summary(self) -> str:
        r = "-" if self.correlation is None else f"{self.correlation:.3f}"
        images = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        return (
            f"latency model, {images}: r {r}, median error {self.median_error:.1%} over "
            f"{len(self.networks)} networks"
        )


def checked_model(
    model: LatencyModel, entries: Sequence[Entry], timed: Sequence[Timed]
) -> ModelCheck:
    """The model's predictions of what was measured eagerly at its batch size.

    Networks that code or another package makes have no blocks to predict from, and are left out.
    Raises ArchitectureError where nothing is left.
    """
    known = {
        entry.name: entry.network for entry in entries if isinstance(entry.network, Architecture)
    }
    networks = tuple(
        Predicted(row.name, row.seconds, model.predicted(known[row.name]))
        for row in timed
        if row.name in known
        and row.mode == "eager"
        and row.batch_size == model.batch_size
        and row.seconds is not None
    )
    if not networks:
        raise ArchitectureError(
            f"latency model: need networks as data, measured at its batch of {model.batch_size}, "
            f"got none; add {model.batch_size} to --batch"
        )
    r = None
    if len(networks) >= FEWEST:
        told, seen = (np.log([getattr(n, name) for n in networks]) for name in _COLUMNS)
        r = correlation(told, seen)
    error = float(np.median([abs(network.error) for network in networks]))
    return ModelCheck(model.batch_size, networks, r, error)


def require_same_place(model: LatencyModel, device: str, threads: int) -> None:
    """Raise ArchitectureError where a model is of another device, or of other threads."""
    if model.device != device or (device == "cpu" and model.threads != threads):
        raise ArchitectureError(
            f"latency model: need one of this device ({device}, {threads} threads), got one of "
            f"{model.device}, {model.threads} threads; `scalesearch calibrate` makes one"
        )


_COLUMNS = ("predicted", "seconds")
