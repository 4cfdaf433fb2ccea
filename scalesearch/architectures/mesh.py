"""The networks of a budget that foreign code makes, found by counting as few as possible.

What a callable makes of real-valued multipliers is its own affair, so there are no levels to
enumerate and no formulas. But cost never falls when a multiplier rises: on a mesh of (depth, width)
multipliers the resolutions of a budget are found by bisection over whole pixels. At the baseline's
own resolution, the edge of the mesh, widths are found by bisection too.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

from scalesearch.architectures.budget import Budget
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.levels import resolution_levels
from scalesearch.architectures.scale import scaled
from scalesearch.errors import ArchitectureError
from scalesearch.scaling import Multipliers, Shares

STEP = 0.1
"""Of the mesh: a tenth of what an axis takes alone, in its logarithm, whatever the factor."""

FINE = 1000
"""Multipliers are solved for in thousandths: finer than a tolerance, and fit to be read."""

REACH = 3
"""An axis that does not spend the budget at ``factor ** REACH`` is taken not to spend it."""

LARGEST = 8
"""Factor of a budget; the networks of a greater one take minutes to be made and counted."""

AROUND = 1.4
"""How far from a direction's width and resolution networks are looked for, as a factor."""

OFFSETS = 8
"""How far from a direction's resolution, in pixels, before the search along it is given up."""


@dataclass(frozen=True, slots=True)
class Line(Sequence[Foreign]):
    """Networks of rising cost, each made when it is looked at; bisection looks at few."""

    settings: Sequence[float]
    make: Callable[[float], Foreign]

    def __len__(self) -> int:
        return len(self.settings)

    @overload
    def __getitem__(self, index: int) -> Foreign: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Foreign]: ...
    def __getitem__(self, index: int | slice) -> Foreign | Sequence[Foreign]:
        if isinstance(index, slice):
            return [self.make(setting) for setting in self.settings[index]]
        return self.make(self.settings[index])


@dataclass(frozen=True, slots=True)
class Mesh:
    """Where the networks of a budget are looked for, around a foreign baseline."""

    baseline: Foreign
    budget: Budget

    def networks(self, step: float = STEP) -> Iterator[Foreign]:
        """Distinct networks within the budget, and their neighbours just outside it.

        Of all multipliers that give one network, those in the middle stand for it. Raises
        ArchitectureError for a factor beyond ``LARGEST``.
        """
        if not self.countable:
            raise ArchitectureError(
                f"budget: need a factor between 1/{LARGEST} and {LARGEST} for a network made by "
                f"code, whose every candidate has to be made, got {self.budget.factor:g}; take the "
                "one network along given coefficients (family, mode matched)"
            )
        depths, widths, sides = (self._ends(axis) for axis in ("depth", "width", "resolution"))
        width_levels = self._levels("width", *widths, step)
        seen: set[str] = set()
        for depth in self._levels("depth", *depths, step):
            solved = self.nearest(self._line("width", *widths, depth=depth))
            mesh = (self._at(depth=depth, width=width) for width in width_levels)
            least, most = sides
            for wide in sorted((solved, *mesh), key=lambda network: network.width):
                if (name := fingerprint(wide)) in seen:
                    continue
                seen.add(name)
                if met := self.admitted(self._sides(wide, least, most)):
                    yield from met
                    most = met[-1].resolution / self.baseline.resolution  # wider takes no more

    def towards(self, shares: Shares) -> Iterator[Foreign]:
        """Networks about the point where a direction meets the budget, and their neighbours.

        The direction's depth and width, at the resolutions of the budget; where there are none,
        its depth and the pixels nearest to its resolution, at the widths of the budget.
        """
        along = shares.coefficients(self.budget.factor)
        exponents = range(2 * FINE + 1)[:: 1 if self.grows else -1]
        centre = self.nearest(
            Line(exponents, lambda exponent: self._scaled(along.at(exponent / FINE)))
        )
        pixels = centre.resolution / self.baseline.resolution
        met = self.admitted(self._sides(centre, pixels / AROUND, pixels * AROUND))
        yield from met
        for offset in range(OFFSETS):
            if any(self.budget.meets(self.factor(network)) for network in met):
                return
            sides = sorted({centre.resolution - offset, centre.resolution + offset})
            met = [self._widened(replace(centre, resolution=max(1, side))) for side in sides]
            yield from met

    def _widened(self, network: Foreign) -> Foreign:
        """The network at the width near its own that meets the budget best."""
        middle = network.width / self.baseline.width
        steps = range(round(middle / AROUND * FINE), round(middle * AROUND * FINE) + 1)
        return self.nearest(
            Line(steps, lambda step: replace(network, width=self._at(width=step / FINE).width))
        )

    @property
    def countable(self) -> bool:
        """Whether the whole mesh may be counted in reasonable time."""
        return abs(math.log(self.budget.factor)) <= math.log(LARGEST)

    @property
    def grows(self) -> bool:
        return self.budget.factor > 1

    def factor(self, network: Foreign) -> float:
        """A network's cost over the baseline's, in the budget's measure."""
        return self.budget.spent(network) / self.budget.spent(self.baseline)

    def admitted(self, line: Line) -> Sequence[Foreign]:
        """The networks of a line within the budget, with the next smaller and larger ones."""
        lowest = self.budget.factor * (1 - self.budget.tolerance)
        first = bisect_left(line, lowest, key=self.factor)
        last = bisect_right(line, self.budget.limit, lo=first, key=self.factor)
        return line[max(0, first - 1) : last + 1]

    def nearest(self, line: Line) -> Foreign:
        """The network of a line whose cost is nearest to the budget, in the middle of those of
        equal cost."""
        above = bisect_left(line, self.budget.factor, key=self.factor)
        around = map(self.factor, line[max(0, above - 1) : above + 1])
        met = min(around, key=lambda factor: abs(factor - self.budget.factor))
        first = bisect_left(line, met, key=self.factor)
        return line[(first + bisect_right(line, met, lo=first, key=self.factor) - 1) // 2]

    def _ends(self, axis: str) -> tuple[float, float]:
        """Lowest and highest multiplier of an axis: the highest spends the budget alone (where the
        network is to shrink, the lowest). An axis that is free in the measure stays at 1."""
        if self.factor(self._at(**{axis: 2.0})) == 1:
            return 1.0, 1.0
        start = self.budget.smallest if self.grows else 1 / self.budget.smallest
        others = dict.fromkeys({"depth", "width", "resolution"} - {axis}, start)
        end, ratio = 1.0, 1.25 if self.grows else 0.8
        furthest = REACH * abs(math.log(self.budget.factor))
        while abs(math.log(end)) < furthest:
            end *= ratio
            if (self.factor(self._at(**{axis: end, **others})) > self.budget.limit) is self.grows:
                break
        low, high = sorted((start, end))
        if axis == "resolution":
            return low, high
        met = self.nearest(self._line(axis, low, high, **others))
        end = getattr(met, axis) / getattr(self.baseline, axis)
        low, high = sorted((start, end))
        return low, high

    def _levels(self, axis: str, low: float, high: float, step: float) -> list[float]:
        """Multipliers of an axis, one for each distinct network among those of the mesh."""
        alike: dict[str, list[float]] = {fingerprint(self.baseline): [1.0]}
        for multiplier in _spaced(low, high, step):
            alike.setdefault(fingerprint(self._at(**{axis: multiplier})), []).append(multiplier)
        own, *others = alike.values()
        middles = (round(math.sqrt(group[0] * group[-1]) * FINE) / FINE for group in others)
        return sorted({own[0], *middles})

    def _line(self, axis: str, low: float, high: float, **others: float) -> Line:
        steps = range(math.ceil(low * FINE - 1e-6), math.floor(high * FINE + 1e-6) + 1)
        return Line(steps, lambda step: self._at(**{**others, axis: step / FINE}))

    def _sides(self, network: Foreign, low: float, high: float) -> Line:
        """The network at every resolution between these multiples of the baseline's."""
        least, most = self.budget.pixels
        levels = resolution_levels(self.baseline, self.budget.profile, low, high)
        pixels = [level.setting for level in levels if least <= level.setting <= most]
        return Line(pixels, lambda side: replace(network, resolution=int(side)))

    def _at(self, **multipliers: float) -> Foreign:
        return self._scaled(Multipliers(**multipliers))

    def _scaled(self, by: Multipliers) -> Foreign:
        return scaled(self.baseline, by, self.budget.profile)


def _spaced(low: float, high: float, step: float) -> list[float]:
    """From low to high in equal ratios, ends included, in thousandths."""
    if low == high:
        return [low]
    parts = max(1, round(1 / step))
    inner = (low * (high / low) ** (part / parts) for part in range(1, parts))
    return [low, *(round(multiplier * FINE) / FINE for multiplier in inner), high]
