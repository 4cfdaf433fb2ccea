"""What a comparison of networks holds constant."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from scalesearch.scaling import ROUNDINGS, Rounding

Measure: TypeAlias = Literal["macs", "params", "activations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``factor`` times the baseline's ``measure``, within ``tolerance`` of it.

    ``mode``: ``realised`` counts the rounded networks; ``nominal`` trusts the coefficients, as the
    paper does, and lets the realised cost fall where rounding puts it. ``rounding``: a profile's
    name (``scaling.ROUNDINGS``). ``smallest``: growth takes no multiplier below it, and shrinking
    none above its inverse; by default no axis moves against the budget.
    """

    measure: Measure = "macs"
    factor: float = 2.0
    tolerance: float = 0.02
    mode: Literal["realised", "nominal"] = "realised"
    rounding: str = "even"
    smallest: float = 1.0

    def __post_init__(self) -> None:
        problems = [
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, holds, rule in (
                ("factor", self.factor > 0 and self.factor != 1, "a factor above 0, and not 1"),
                ("tolerance", 0 < self.tolerance < 0.5, "0 < tolerance < 0.5"),
                ("rounding", self.rounding in ROUNDINGS, f"one of {', '.join(ROUNDINGS)}"),
                ("smallest", 0 < self.smallest <= 1, "0 < smallest <= 1"),
            )
            if not holds
        ]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def profile(self) -> Rounding:
        return ROUNDINGS[self.rounding]

    @property
    def limit(self) -> float:
        """The highest factor within the tolerance."""
        return self.factor * (1 + self.tolerance)

    def meets(self, factor: float) -> bool:
        """Whether a realised factor is within the tolerance."""
        return abs(factor / self.factor - 1) <= self.tolerance
