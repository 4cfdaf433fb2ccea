"""The words of compound scaling, and how real-valued multipliers become whole numbers.

EfficientNet (arXiv:1905.11946, eq. 3) scales a baseline by ``depth = alpha**phi``,
``width = beta**phi`` and ``resolution = gamma**phi`` under ``alpha * beta**2 * gamma**2 = F``,
because compute grows linearly with depth and with the square of width and resolution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FLOAT_NOISE = 1e-9  # (2 ** 0.5) ** 2 is 2.0000000000000004; its ceiling is meant to be 2


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


@dataclass(frozen=True, slots=True)
class Rounding:
    """How real-valued multipliers become whole blocks, channels and pixels.

    ``depth``: ``ceil`` and ``round`` act on each stage by itself; ``even`` rounds the total number
    of blocks and hands them out by Webster's divisor method, so that one block more in total
    never takes a block from a stage.
    ``divisor``, ``minimum``: channels are multiples of the divisor, and at least the minimum.
    ``floor``: channels never fall under this fraction of the exact value (0 turns the rule off).
    ``fixed_stem``, ``fixed_head``: channels that do not scale; ``fixed_stages``: indices of stages
    whose depth does not scale (negative ones count from the end).
    """

    depth: Literal["ceil", "round", "even"] = "ceil"
    divisor: int = 8
    minimum: int = 8
    floor: float = 0.9
    resolution_multiple: int = 1
    resolution_cap: int | None = None
    fixed_stem: bool = False
    fixed_head: bool = False
    fixed_stages: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.depth not in ("ceil", "round", "even"):
            raise ValueError(f"need depth ceil, round or even, got depth={self.depth!r}")
        for name in ("divisor", "minimum", "resolution_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"need 0 <= floor <= 1, got floor={self.floor}")

    def channels(self, exact: float) -> int:
        """Whole channels for an exact number of them (TensorFlow's ``round_filters``)."""
        exact = _denoised(exact)
        rounded = max(self.minimum, int(exact + self.divisor / 2) // self.divisor * self.divisor)
        return rounded + self.divisor if rounded < self.floor * exact else rounded

    def repeats(self, counts: Sequence[int], depth: float) -> tuple[int, ...]:
        """Whole blocks per stage when depth is multiplied; no stage loses its last block."""
        fixed = {index % len(counts) for index in self.fixed_stages}
        free = [count for index, count in enumerate(counts) if index not in fixed]
        scaled = iter(self._free_repeats(free, depth))
        return tuple(
            count if index in fixed else next(scaled) for index, count in enumerate(counts)
        )

    def depth_edges(self, counts: Sequence[int], high: float) -> set[float]:
        """Depth multipliers up to ``high`` at which ``repeats`` may change; constant between."""
        fixed = {index % len(counts) for index in self.fixed_stages}
        free = [count for index, count in enumerate(counts) if index not in fixed]
        parts = {sum(free)} if self.depth == "even" else set(free)
        offset = 0.0 if self.depth == "ceil" else 0.5
        return {
            (blocks + offset) / count
            for count in parts
            for blocks in range(int(count * high) + 2)
            if blocks + offset > 0
        }

    def width_edges(self, widths: Sequence[float], high: float) -> set[float]:
        """Width multipliers up to ``high`` at which ``channels`` may change; constant between."""
        jumps = {
            (channels, rung * self.divisor)
            for channels in set(widths)
            for rung in range(1, int(channels * high / self.divisor) + 3)
        }
        halves = {(rounded - self.divisor / 2) / channels for channels, rounded in jumps}
        floors = {rounded / (self.floor * channels) for channels, rounded in jumps if self.floor}
        return halves | floors

    def _free_repeats(self, counts: Sequence[int], depth: float) -> tuple[int, ...]:
        if self.depth == "even":
            return apportioned(counts, round(_denoised(sum(counts) * depth)))
        if self.depth == "ceil":
            return tuple(math.ceil(count * depth - FLOAT_NOISE) for count in counts)
        return tuple(max(1, round(_denoised(count * depth))) for count in counts)

    def pixels(self, exact: float) -> int:
        """Whole pixels per side, a multiple of ``resolution_multiple``, under the cap."""
        step = self.resolution_multiple
        rounded = max(step, math.floor(_denoised(exact) / step + 0.5) * step)
        return rounded if self.resolution_cap is None else min(rounded, self.resolution_cap)


ROUNDINGS: dict[str, Rounding] = {
    "official": Rounding(),
    "nearest": Rounding(depth="round", floor=0.0),
    "even": Rounding(depth="even"),
}
"""Rounding profiles by name: TensorFlow's, pycls's (arXiv:2103.06877), and ours for search."""


def apportioned(weights: Sequence[int], total: int) -> tuple[int, ...]:
    """Hand out ``total`` blocks over stages in proportion to ``weights`` (Webster's method).

    Every stage gets at least one block, also where the total is smaller than that.
    House-monotone: a larger total never takes one away. Ties go to the earlier stage.
    """
    blocks = [1] * len(weights)
    for _ in range(total - len(weights)):
        index = max(range(len(weights)), key=lambda i: weights[i] / (2 * blocks[i] + 1))
        blocks[index] += 1
    return tuple(blocks)


def _denoised(value: float) -> float:
    """The whole number that a float product missed by noise, or the value itself."""
    nearest = round(value)
    return float(nearest) if abs(value - nearest) < FLOAT_NOISE * max(1.0, abs(value)) else value
