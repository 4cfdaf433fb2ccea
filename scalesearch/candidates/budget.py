"""Budgets: the cost that a comparison of networks holds constant."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import (
    MEASURES,
    LatencyModel,
    Measure,
    cost_in_measure,
    require_latency_model,
)
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling.rounding import Rounding, rounding_from, rounding_name


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLimits:
    """Limits of other measures, as multiples of the baseline's; None sets no limit."""

    macs: float | None = None
    params: float | None = None
    activations: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{measure}: need a factor above 0, got {limit!r}"
            for measure, limit in self
            if not (math.isfinite(limit) and limit > 0)
        ]
        if problems:
            raise ValueError("\n".join(problems))

    def __iter__(self) -> Iterator[tuple[Measure, float]]:
        """Iterate over the limits that are set."""
        for measure in MEASURES:
            if (limit := getattr(self, measure)) is not None:
                yield measure, limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Cost of ``factor`` times the baseline's ``measure``, within ``tolerance``.

    ``mode``: ``realised`` counts the rounded networks; ``nominal`` trusts the coefficients, as the
    paper does, and accepts any realised cost. ``rounding``: a profile's name (``ROUNDINGS``) or
    your own rounding. ``smallest``: growth uses no multiplier below it, and shrinking none above
    its inverse; by default no axis moves against the budget. ``limits``: bounds on the other
    measures, so that networks of equal MACs also fit a memory. ``latency``: model that predicts
    it, required if it is the measure or has a limit. ``min_resolution``, ``max_resolution``:
    pixels per side, None for no bound.
    """

    measure: Measure = "macs"
    factor: float = 2.0
    tolerance: float = 0.02
    mode: Literal["realised", "nominal"] = "realised"
    rounding: str | Rounding = "even"
    smallest: float = 1.0
    limits: CostLimits = field(default_factory=CostLimits)
    min_resolution: int | None = None
    max_resolution: int | None = None
    latency: LatencyModel | None = None

    def __post_init__(self) -> None:
        min_pixels, max_pixels = self.resolution_bounds
        problems = [
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, is_valid, rule in (
                (
                    "factor",
                    0 < self.factor < inf and self.factor != 1,
                    "a factor above 0, and not 1",
                ),
                ("tolerance", 0 < self.tolerance < 0.5, "0 < tolerance < 0.5"),
                ("smallest", 0 < self.smallest <= 1, "0 < smallest <= 1"),
                ("min_resolution", min_pixels >= 1, "at least 1 pixel"),
                (
                    "max_resolution",
                    max_pixels >= max(1, min_pixels),
                    "no fewer pixels than min_resolution",
                ),
            )
            if not is_valid
        ]
        try:
            rounding_from(self.rounding)
        except ValueError as error:
            problems += [f"rounding: {problem}" for problem in str(error).splitlines()]
        if self.mode == "nominal" and self.bounds_text:
            problems.append(
                f"mode: need realised, which counts networks, to keep to {self.bounds_text}; got "
                "nominal"
            )
        if self.measure == "latency" or self.limits.latency is not None:
            try:
                require_latency_model(self.latency)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def rounding_profile(self) -> Rounding:
        """The rounding by its name or its own values."""
        return rounding_from(self.rounding)

    @property
    def rounding_name(self) -> str:
        """Short name of the rounding, for messages and titles."""
        return rounding_name(self.rounding)

    @property
    def max_factor(self) -> float:
        """Highest factor within the tolerance."""
        return self.factor * (1 + self.tolerance)

    @property
    def resolution_bounds(self) -> tuple[float, float]:
        """Fewest and most pixels per side."""
        min_pixels = 1 if self.min_resolution is None else self.min_resolution
        return min_pixels, math.inf if self.max_resolution is None else self.max_resolution

    @property
    def bounds_text(self) -> str:
        """Limits and bounds as text; empty without any."""
        texts = [f"{measure} at most {limit:g}x" for measure, limit in self.limits]
        if self.min_resolution is not None:
            texts.append(f"at least {self.min_resolution} px")
        if self.max_resolution is not None:
            texts.append(f"at most {self.max_resolution} px")
        return ", ".join(texts)

    def cost_of(self, architecture: Architecture | CustomModel) -> float:
        """Cost of a network in the budget's measure."""
        return cost_in_measure(architecture, self.measure, self.latency)

    def is_met_by(self, factor: float) -> bool:
        """Whether a realised factor is within the tolerance."""
        return abs(factor / self.factor - 1) <= self.tolerance
