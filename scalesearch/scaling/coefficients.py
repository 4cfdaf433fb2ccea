"""Coefficients, multipliers and shares of compound scaling, all real-valued.

EfficientNet (arXiv:1905.11946, eq. 3) scales a baseline by ``depth = alpha**phi``,
``width = beta**phi`` and ``resolution = gamma**phi`` under ``alpha * beta**2 * gamma**2 = F``,
because compute grows linearly with depth and with the square of width and resolution. ``rounding``
turns them into whole numbers.
"""

import math
from dataclasses import dataclass

from scalesearch.scaling.rounding import FLOAT_NOISE


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"need a finite {name} > 0, got {name}={value}")


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Depth, width and resolution of a network as factors of its baseline's."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(depth=self.depth, width=self.width, resolution=self.resolution)

    @property
    def factor(self) -> float:
        """Nominal compute of these multipliers in the paper's model: d * w^2 * r^2."""
        return self.depth * self.width**2 * self.resolution**2

    @property
    def shares(self) -> "Shares":
        """Parts of log2 of the factor on each axis.

        Raises ValueError if the factor is 1: then there is nothing to divide.
        """
        parts = (math.log(self.depth), 2 * math.log(self.width), 2 * math.log(self.resolution))
        total = sum(parts)
        if abs(total) < FLOAT_NOISE:
            raise ValueError(f"multipliers of factor 1 have no shares, got {self}")
        depth, width, resolution = (part / total for part in parts)
        return Shares(depth, width, resolution)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The paper's bases: alpha for depth, beta for width, gamma for resolution."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        _require_positive(alpha=self.alpha, beta=self.beta, gamma=self.gamma)

    def at(self, phi: float) -> Multipliers:
        """Multipliers at the compound exponent phi, which may be fractional or negative."""
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)

    @property
    def factor(self) -> float:
        """Nominal growth of compute for one step of phi: alpha * beta^2 * gamma^2."""
        return self.alpha * self.beta**2 * self.gamma**2

    @property
    def shares(self) -> "Shares":
        """Direction of these coefficients, whatever their factor."""
        return self.at(1.0).shares


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of log2(budget) spent on depth, width and resolution; they sum to one."""

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        total = self.depth + self.width + self.resolution
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"need shares that sum to 1, got {self} with sum {total}")

    def coefficients(self, factor: float) -> Coefficients:
        """Coefficients alpha = F^d, beta = F^(w/2), gamma = F^(r/2) of product F."""
        _require_positive(factor=factor)
        return Coefficients(
            factor**self.depth, factor ** (self.width / 2), factor ** (self.resolution / 2)
        )

    def distance(self, other: "Shares") -> float:
        """Euclidean distance on the simplex; the corners are sqrt(2) apart."""
        return math.dist(self.as_tuple(), other.as_tuple())

    def as_tuple(self) -> tuple[float, float, float]:
        """Depth, width and resolution, in this order."""
        return self.depth, self.width, self.resolution
