"""Totals that the cost of a network consists of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-adds, activations (arXiv:2003.13678) and parameters of a network."""

    macs: int
    params: int
    activations: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.activations + other.activations,
        )
