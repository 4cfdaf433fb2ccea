"""Baselines by name: published networks that a scaling search starts from.

``baseline(name, width=..., resolution=...)`` gives one, or a small proxy of it;
``baseline_table()`` lists them with their cost and the parts that scaling keeps fixed.
"""

from typing import Any

from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.baselines.densenet import DENSENETS
from scalesearch.architectures.baselines.efficientnet import EFFICIENTNETS, efficientnet_b0
from scalesearch.architectures.baselines.mobilenet import MOBILENETS
from scalesearch.architectures.baselines.resnet import RESNETS
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError, closest_choice

__all__ = ["BASELINES", "Baseline", "baseline", "baseline_table", "efficientnet_b0"]

BASELINES: dict[str, Baseline] = {
    published.name: published for published in (*EFFICIENTNETS, *MOBILENETS, *RESNETS, *DENSENETS)
}
"""Baselines by name; ``Baseline.__call__`` has their options."""


def baseline(name: str, **options: Any) -> Architecture:
    """Baseline of that name; raise ArchitectureError with the known ones for others."""
    if name not in BASELINES:
        close = closest_choice(name, BASELINES)
        hint = f"did you mean {close!r}? " if close else ""
        raise ArchitectureError(
            f"baseline: unknown name {name!r}; {hint}known are {', '.join(sorted(BASELINES))}"
        )
    try:
        return BASELINES[name](**options)
    except (ValueError, TypeError) as error:
        raise ArchitectureError(f"baseline {name}: {error}") from error


def baseline_table() -> list[dict[str, str | int]]:
    """All baselines as flat rows (see ``Baseline.row``)."""
    return [published.row() for published in BASELINES.values()]
