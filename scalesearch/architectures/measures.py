"""The measures a network can be held to: counted ones, and latency, which is predicted."""

from typing import Literal, TypeAlias, get_args

from scalesearch.architectures.cost import cost
from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture

Counted: TypeAlias = Literal["macs", "params", "activations"]
Measure: TypeAlias = Literal["macs", "params", "activations", "latency"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def measured(
    architecture: Architecture | Foreign, measure: Measure, latency: LatencyModel | None = None
) -> float:
    """What a network costs in a measure: a whole number, or predicted seconds.

    Raises ValueError for latency without a model, ArchitectureError for that of code's network.
    """
    if measure == "latency":
        return required(latency).predicted(architecture)
    counted: int = getattr(cost(architecture), measure)
    return counted


def required(latency: LatencyModel | None) -> LatencyModel:
    """The model, which is there. Raises ValueError where it is not, with where to get one."""
    if latency is None:
        raise ValueError(
            "latency: need a latency model to predict it, got none; `scalesearch calibrate NAME "
            "--out FILE.json` measures one on this machine"
        )
    return latency
