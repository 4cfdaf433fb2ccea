"""Baselines: a published network, its source, and the proxies made of it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS


@dataclass(frozen=True, slots=True)
class Baseline:
    """A published network; calling it gives the network or a small proxy."""

    name: str
    family: str
    citation: str
    network: Architecture

    def __call__(
        self,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        resolution: int | None = None,
        stem_stride: int | None = None,
        in_channels: int | None = None,
        num_classes: int | None = None,
    ) -> Architecture:
        """Build the network, or a small proxy of it.

        ``width`` and ``depth`` are multipliers under the official rounding, ``resolution`` is in
        pixels; None keeps the published value. ``stem_stride=1`` suits inputs as small as 32
        pixels. Raises ValueError for a number out of range.
        """
        options = {
            "resolution": resolution,
            "stem_stride": stem_stride,
            "in_channels": in_channels,
            "num_classes": num_classes,
        }
        overrides: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        network = replace(self.network, **overrides)
        return scale(network, Multipliers(depth=depth, width=width), ROUNDINGS["official"])

    def row(self) -> dict[str, str | int]:
        """Name, source, resolution, cost, and the parts that each axis scales."""
        return {
            "name": self.name,
            "family": self.family,
            "citation": self.citation,
            "resolution": self.network.resolution,
            **asdict(cost(self.network)),
            "depth": f"{self.network.num_blocks} blocks: {_depth_text(self.network)}",
            "width": ", ".join(_width_parts(self.network)),
            "stride": self.network.total_stride,
        }


def _depth_text(network: Architecture) -> str:
    fixed = [str(index) for index, stage in enumerate(network.stages, start=1) if stage.fixed_depth]
    if not fixed:
        return "all stages"
    return f"all stages but {' and '.join(fixed)} of {len(network.stages)}"


def _width_parts(network: Architecture) -> Iterator[str]:
    yield "stages"
    yield f"stem fixed at {network.stem}" if network.fixed_stem else "stem"
    if not network.head:
        yield "no head"
    elif network.fixed_head:
        yield f"head fixed at {network.head}"
    elif network.least_head:
        yield f"head from {network.least_head} up"
    else:
        yield "head"
