"""Which candidates are trained, how far, how often, and when it is enough."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scalesearch.experiment.refusals import refuse

Reference: TypeAlias = Literal["depth", "width", "resolution", "uniform", "paper", "fast"]
REFERENCES: tuple[Reference, ...] = ("depth", "width", "resolution", "uniform", "paper")
PLANNED = ("lattice", "cartesian")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """Which candidates are trained, and how often.

    ``sampler``: ``lattice`` (all shares that are multiples of 1/``step``), ``cartesian`` (the
    classic grid: ``alpha``, ``beta``, ``gamma`` in their ranges, ``step`` apart, with
    |alpha * beta^2 * gamma^2 - F| <= ``product_tolerance``), or Optuna's ``tpe``, ``gp``,
    ``sobol``, ``random``. ``step``: 4 for the lattice and 0.05 for the grid where it is None.
    ``trials``: how many candidates a sampler proposes (15 where it is None); a grid stops there.
    ``seeds``: runs of each candidate; ``together``: train them at the same time, which is faster
    where one network does not fill the device (a GPU). ``references``: points trained beside the
    searched ones.
    """

    sampler: Literal["lattice", "cartesian", "tpe", "gp", "sobol", "random"] = "lattice"
    step: float | None = None
    trials: int | None = None
    seeds: int = 3
    together: bool = False
    references: tuple[Reference, ...] = REFERENCES
    alpha: tuple[float, float] = (1.0, 2.0)
    beta: tuple[float, float] = (1.0, 1.5)
    gamma: tuple[float, float] = (1.0, 1.5)
    product_tolerance: float = 0.1

    def __post_init__(self) -> None:
        whole = self.step is None or (self.step >= 1 and self.step % 1 == 0)
        checks = [
            ("step", self.step is None or 0 < self.step < math.inf, "a step above 0"),
            ("step", self.sampler != "lattice" or whole, "a whole number (of parts) for a lattice"),
            ("trials", self.trials is None or self.trials >= 1, "at least 1"),
            ("seeds", self.seeds >= 1, "at least 1"),
            ("product_tolerance", self.product_tolerance > 0, "a tolerance above 0"),
        ]
        checks += [
            (
                name,
                0 < getattr(self, name)[0] <= getattr(self, name)[1] < 100,
                "0 < low <= high < 100",
            )
            for name in ("alpha", "beta", "gamma")
        ]
        refuse(
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, holds, rule in checks
            if not holds
        )

    @property
    def asks(self) -> int | None:
        """How many proposals a sampler makes; None for a grid, which knows its own size."""
        return None if self.sampler in PLANNED else self.trials or 15
