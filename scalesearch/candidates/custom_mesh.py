"""Iso-cost networks of a custom model, found with as few counts as possible.

A callable rounds real-valued multipliers by its own rules, so there are no levels to enumerate and
no formulas. But cost never falls when a multiplier rises: on a mesh of (depth, width) multipliers,
bisection over whole pixels finds the resolutions of a budget. At the baseline's own resolution,
the edge of the mesh, bisection finds the widths too.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.scaled import scale
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.grid import resolution_levels
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers, Shares

MESH_STEP = 0.1
"""Step of the mesh in its logarithm: a tenth of what an axis takes alone, for any factor."""

STEPS_PER_UNIT = 1000
"""Multipliers are solved for in thousandths: finer than a tolerance, and readable."""

MAX_FACTOR_EXPONENT = 3
"""An axis that does not spend the budget at ``factor`` to this power is taken not to spend it."""

MAX_FACTOR = 8
"""Largest factor of a budget; larger networks take minutes to build and count."""

SEARCH_FACTOR = 1.4
"""Distance from a direction's width and resolution that is searched, as a factor."""

MAX_PIXEL_OFFSET = 8
"""Distance in pixels from a direction's resolution at which the search along it stops."""


@dataclass(frozen=True, slots=True)
class CostLine(Sequence[CustomModel]):
    """Networks of rising cost, each built when it is needed; bisection needs few."""

    levels: Sequence[float]
    make_network: Callable[[float], CustomModel]

    def __len__(self) -> int:
        return len(self.levels)

    @overload
    def __getitem__(self, index: int) -> CustomModel: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CustomModel]: ...
    def __getitem__(self, index: int | slice) -> CustomModel | Sequence[CustomModel]:
        if isinstance(index, slice):
            return [self.make_network(level) for level in self.levels[index]]
        return self.make_network(self.levels[index])


@dataclass(frozen=True, slots=True)
class Mesh:
    """Mesh of multipliers around a custom baseline, for the networks of a budget."""

    baseline: CustomModel
    budget: Budget

    def networks(self, step: float = MESH_STEP) -> Iterator[CustomModel]:
        """Distinct networks within the budget, and their neighbours just outside it.

        Of all multipliers that give one network, the middle ones represent it. Raises
        ArchitectureError for a factor beyond ``MAX_FACTOR``.
        """
        if not self.is_countable:
            raise ArchitectureError(
                f"budget: need a factor between 1/{MAX_FACTOR} and {MAX_FACTOR} for a network "
                "made by code, whose every candidate has to be made, got "
                f"{self.budget.factor:g}; take the one network along given coefficients (family, "
                "mode matched)"
            )
        depths, widths, sides = (self._axis_ends(axis) for axis in ("depth", "width", "resolution"))
        width_levels = self._axis_levels("width", *widths, step)
        listed: set[str] = set()
        for depth in self._axis_levels("depth", *depths, step):
            on_budget = self.nearest(self._axis_line("width", *widths, depth=depth))
            mesh = (self._scaled_by(depth=depth, width=width) for width in width_levels)
            smallest_side, largest_side = sides
            for candidate in sorted((on_budget, *mesh), key=lambda network: network.width):
                if (name := fingerprint(candidate)) in listed:
                    continue
                listed.add(name)
                if admitted := self.within_budget(
                    self._resolution_line(candidate, smallest_side, largest_side)
                ):
                    yield from admitted
                    # Wider models have no resolution left.
                    largest_side = admitted[-1].resolution / self.baseline.resolution

    def networks_towards(self, shares: Shares) -> Iterator[CustomModel]:
        """Networks near the point where a direction meets the budget.

        The direction's depth and width, at the resolutions of the budget; without any, its depth
        and the pixels nearest to its resolution, at the widths of the budget.
        """
        coefficients = shares.coefficients(self.budget.factor)
        exponents = range(2 * STEPS_PER_UNIT + 1)[:: 1 if self.is_growth else -1]
        centre = self.nearest(
            CostLine(
                exponents, lambda exponent: self._scale(coefficients.at(exponent / STEPS_PER_UNIT))
            )
        )
        resolution_factor = centre.resolution / self.baseline.resolution
        admitted = self.within_budget(
            self._resolution_line(
                centre, resolution_factor / SEARCH_FACTOR, resolution_factor * SEARCH_FACTOR
            )
        )
        yield from admitted
        for offset in range(MAX_PIXEL_OFFSET):
            if any(self.budget.is_met_by(self.factor(network)) for network in admitted):
                return
            sides = sorted({centre.resolution - offset, centre.resolution + offset})
            admitted = [
                self._at_budget_width(replace(centre, resolution=max(1, side))) for side in sides
            ]
            yield from admitted

    def _at_budget_width(self, network: CustomModel) -> CustomModel:
        """Network of nearby width that meets the budget best."""
        width_factor = network.width / self.baseline.width
        steps = range(
            round(width_factor / SEARCH_FACTOR * STEPS_PER_UNIT),
            round(width_factor * SEARCH_FACTOR * STEPS_PER_UNIT) + 1,
        )
        return self.nearest(
            CostLine(
                steps,
                lambda step: replace(
                    network, width=self._scaled_by(width=step / STEPS_PER_UNIT).width
                ),
            )
        )

    @property
    def is_countable(self) -> bool:
        """Whether the whole mesh can be counted in reasonable time."""
        return abs(math.log(self.budget.factor)) <= math.log(MAX_FACTOR)

    @property
    def is_growth(self) -> bool:
        """Whether networks of the budget are larger than the baseline."""
        return self.budget.factor > 1

    def factor(self, network: CustomModel) -> float:
        """Cost of a network over the baseline's, in the budget's measure."""
        return self.budget.cost_of(network) / self.budget.cost_of(self.baseline)

    def within_budget(self, line: CostLine) -> Sequence[CustomModel]:
        """Networks of a line within the budget, with the next smaller and larger ones."""
        lowest = self.budget.factor * (1 - self.budget.tolerance)
        first = bisect_left(line, lowest, key=self.factor)
        last = bisect_right(line, self.budget.max_factor, lo=first, key=self.factor)
        return line[max(0, first - 1) : last + 1]

    def nearest(self, line: CostLine) -> CustomModel:
        """Network of a line with the cost nearest to the budget; the middle of equal ones."""
        above = bisect_left(line, self.budget.factor, key=self.factor)
        neighbour_factors = map(self.factor, line[max(0, above - 1) : above + 1])
        nearest_factor = min(neighbour_factors, key=lambda factor: abs(factor - self.budget.factor))
        first = bisect_left(line, nearest_factor, key=self.factor)
        return line[
            (first + bisect_right(line, nearest_factor, lo=first, key=self.factor) - 1) // 2
        ]

    def _axis_ends(self, axis: str) -> tuple[float, float]:
        """Lowest and highest multiplier of an axis.

        The highest one spends the budget alone (if the network shrinks, the lowest). An axis that
        is free in the measure stays at 1.
        """
        if self.factor(self._scaled_by(**{axis: 2.0})) == 1:
            return 1.0, 1.0
        start = self.budget.smallest if self.is_growth else 1 / self.budget.smallest
        other_axes = dict.fromkeys({"depth", "width", "resolution"} - {axis}, start)
        end, ratio = 1.0, 1.25 if self.is_growth else 0.8
        max_log_end = MAX_FACTOR_EXPONENT * abs(math.log(self.budget.factor))
        while abs(math.log(end)) < max_log_end:
            end *= ratio
            if (
                self.factor(self._scaled_by(**{axis: end, **other_axes})) > self.budget.max_factor
            ) is self.is_growth:
                break
        low, high = sorted((start, end))
        if axis == "resolution":
            return low, high
        nearest_network = self.nearest(self._axis_line(axis, low, high, **other_axes))
        end = getattr(nearest_network, axis) / getattr(self.baseline, axis)
        low, high = sorted((start, end))
        return low, high

    def _axis_levels(self, axis: str, low: float, high: float, step: float) -> list[float]:
        """Multipliers of an axis, one for each distinct network of the mesh."""
        multipliers_by_fingerprint: dict[str, list[float]] = {fingerprint(self.baseline): [1.0]}
        for multiplier in _geometric_steps(low, high, step):
            multipliers_by_fingerprint.setdefault(
                fingerprint(self._scaled_by(**{axis: multiplier})), []
            ).append(multiplier)
        own_multipliers, *other_groups = multipliers_by_fingerprint.values()
        middles = (
            round(math.sqrt(group[0] * group[-1]) * STEPS_PER_UNIT) / STEPS_PER_UNIT
            for group in other_groups
        )
        return sorted({own_multipliers[0], *middles})

    def _axis_line(self, axis: str, low: float, high: float, **other_axes: float) -> CostLine:
        steps = range(
            math.ceil(low * STEPS_PER_UNIT - 1e-6), math.floor(high * STEPS_PER_UNIT + 1e-6) + 1
        )
        return CostLine(
            steps, lambda step: self._scaled_by(**{**other_axes, axis: step / STEPS_PER_UNIT})
        )

    def _resolution_line(self, network: CustomModel, low: float, high: float) -> CostLine:
        """Return the network at every resolution between these multiples of the baseline's."""
        min_pixels, max_pixels = self.budget.resolution_bounds
        levels = resolution_levels(self.baseline, self.budget.rounding_profile, low, high)
        pixels = [level.value for level in levels if min_pixels <= level.value <= max_pixels]
        return CostLine(pixels, lambda side: replace(network, resolution=int(side)))

    def _scaled_by(self, **multipliers: float) -> CustomModel:
        return self._scale(Multipliers(**multipliers))

    def _scale(self, by: Multipliers) -> CustomModel:
        return scale(self.baseline, by, self.budget.rounding_profile)


def _geometric_steps(low: float, high: float, step: float) -> list[float]:
    """Equal ratios from low to high, ends included, in thousandths."""
    if low == high:
        return [low]
    parts = max(1, round(1 / step))
    inner = (low * (high / low) ** (part / parts) for part in range(1, parts))
    return [
        low,
        *(round(multiplier * STEPS_PER_UNIT) / STEPS_PER_UNIT for multiplier in inner),
        high,
    ]
