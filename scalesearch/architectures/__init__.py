"""Networks as data: what they are, what they cost, and which of them cost the same."""

from scalesearch.architectures.baselines import BASELINES, baseline, efficientnet_b0
from scalesearch.architectures.cost import Cost, cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.foreign import CustomModel
from scalesearch.architectures.scale import scale
from scalesearch.architectures.stages import Architecture, Stage

__all__ = [
    "BASELINES",
    "Architecture",
    "Cost",
    "CustomModel",
    "Stage",
    "baseline",
    "cost",
    "efficientnet_b0",
    "fingerprint",
    "scale",
]
