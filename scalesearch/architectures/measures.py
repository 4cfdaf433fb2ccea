"""The measures a network can be held to: counted ones, and latency, which is predicted."""

from typing import Literal, TypeAlias, get_args

from scalesearch.architectures.cost import cost
from scalesearch.architectures.foreign import CustomModel
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture

CountedMeasure: TypeAlias = Literal["macs", "params", "activations"]
Measure: TypeAlias = Literal["macs", "params", "activations", "latency"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def cost_in_measure(
    architecture: Architecture | CustomModel, measure: Measure, latency: LatencyModel | None = None
) -> float:
    """What a network costs in a measure: a whole number, or predicted seconds.

    Raises ValueError for latency without a model, ArchitectureError for that of code's network.
    """
    if measure == "latency":
        return require_latency_model(latency).predicted_seconds(architecture)
    counted: int = getattr(cost(architecture), measure)
    return counted


def require_latency_model(latency: LatencyModel | None) -> LatencyModel:
    """The model, which is there. Raises ValueError where it is not, with where to get one."""
    if latency is None:
        raise ValueError(
            "latency: need a latency model to predict it, got none; `scalesearch calibrate NAME "
            "--out FILE.json` measures one on this machine"
        )
    return latency
