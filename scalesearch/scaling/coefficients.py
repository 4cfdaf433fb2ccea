"""The words of compound scaling: coefficients, multipliers and shares, all real-valued.

EfficientNet (arXiv:1905.11946, eq. 3) scales a baseline by ``depth = alpha**phi``,
``width = beta**phi`` and ``resolution = gamma**phi`` under ``alpha * beta**2 * gamma**2 = F``,
because compute grows linearly with depth and with the square of width and resolution. How they
become whole numbers is a matter of ``rounding``, whose names are public here too.
"""

import math
from dataclasses import dataclass

from scalesearch.scaling.rounding import FLOAT_NOISE, ROUNDINGS, Rounding, apportioned_blocks

__all__ = [
    "FLOAT_NOISE",
    "ROUNDINGS",
    "Coefficients",
    "Multipliers",
    "Rounding",
    "Shares",
    "apportioned_blocks",
]


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
        """The compute these multipliers ask for, in the paper's model: d * w^2 * r^2."""
        return self.depth * self.width**2 * self.resolution**2

    @property
    def shares(self) -> "Shares":
        """How log2 of the factor divides over the three axes.

        Raises ValueError where the factor is 1: nothing is spent, so nothing is shared out.
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
        """The multipliers at the compound exponent phi, which may be fractional or negative."""
        return Multipliers(self.alpha**phi, self.beta**phi, self.gamma**phi)

    @property
    def factor(self) -> float:
        """alpha * beta^2 * gamma^2: the nominal growth of compute for one step of phi."""
        return self.alpha * self.beta**2 * self.gamma**2

    @property
    def shares(self) -> "Shares":
        """The direction of these coefficients, whatever their factor."""
        return self.at(1.0).shares


@dataclass(frozen=True, slots=True)
class Shares:
    """How log2(budget) is split over depth, width and resolution; the three sum to one."""

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        total = self.depth + self.width + self.resolution
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"need shares that sum to 1, got {self} with sum {total}")

    def coefficients(self, factor: float) -> Coefficients:
        """alpha = F^d, beta = F^(w/2), gamma = F^(r/2), so that alpha * beta^2 * gamma^2 = F."""
        _require_positive(factor=factor)
        return Coefficients(
            factor**self.depth, factor ** (self.width / 2), factor ** (self.resolution / 2)
        )

    def distance(self, other: "Shares") -> float:
        """Euclidean distance on the simplex; the corners are sqrt(2) apart."""
        return math.dist(self.as_tuple(), other.as_tuple())

    def as_tuple(self) -> tuple[float, float, float]:
        return self.depth, self.width, self.resolution
