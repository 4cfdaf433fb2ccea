"""The networks along a direction of scaling, as the staircase that their realised cost is.

Where no coefficient is below one, a network never gets smaller when phi rises, so bisection finds
every edge. A stair is one cost; the stairs next to it are what else can be had that way.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from scalesearch.architectures.cost import Cost, cost
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.measures import Measure, measured
from scalesearch.architectures.scale import scaled
from scalesearch.architectures.stages import Architecture
from scalesearch.rounding import Rounding
from scalesearch.scaling import Coefficients, Multipliers

DEEPEST = 64.0
LARGEST = 1e6
"""Multipliers up to which networks are looked at: of depth, and of the steepest axis; and down to
the inverse of the second."""

GRAIN = 7
"""Decimals of phi. Just above a whole number of blocks, the last bits of a float deepen one stage
before another: stairs of a width of 1e-9, which are nobody's networks."""


@dataclass(frozen=True, slots=True)
class Stair:
    """A network along the direction, and where it is.

    ``phi``: the middle of the interval of phi, ``first`` to ``last``, in which the measured cost
    is this network's, and 0 for the baseline's own. The interval may be a single point: where
    exactly a whole number of blocks is asked, and just enough channels to round up.
    ``multipliers``: what phi asks for.
    ``spent``: the measured cost; ``factor``: the same over the baseline's.
    """

    phi: float
    first: float
    last: float
    multipliers: Multipliers
    architecture: Architecture
    cost: Cost
    spent: float
    factor: float


@dataclass(frozen=True, slots=True)
class Staircase:
    """The networks along coefficients that are all at least one.

    ``latency``: what predicts it, needed where it is the measure.
    """

    baseline: Architecture
    coefficients: Coefficients
    measure: Measure
    rounding: Rounding
    latency: LatencyModel | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """The phis between which networks are looked at (``DEEPEST``, ``LARGEST``)."""
        alpha, *others = (math.log(base) for base in asdict(self.coefficients).values())
        most = math.log(LARGEST) / max(alpha, *others)
        deepest = math.log(DEEPEST) / alpha if alpha else math.inf
        return -round(most, GRAIN), round(min(most, deepest), GRAIN)

    def network(self, phi: float) -> Architecture:
        return scaled(self.baseline, self.coefficients.at(round(phi, GRAIN)), self.rounding)

    def measured(self, phi: float) -> float:
        return measured(self.network(phi), self.measure, self.latency)

    def stair(self, phi: float) -> Stair:
        """All of the staircase that is level with phi."""
        level = self.measured(phi)
        least, most = self.bounds
        begin = first(lambda x: self.measured(x) >= level, least, phi)
        end = last(lambda x: self.measured(x) > level, phi, most)
        own = begin <= 0 <= end and self.measured(0) == level
        middle = 0.0 if own else round((begin + end) / 2, GRAIN)
        network = self.network(middle)
        return Stair(
            phi=middle,
            first=begin,
            last=end,
            multipliers=self.coefficients.at(middle),
            architecture=network,
            cost=cost(network),
            spent=level,
            factor=level / measured(self.baseline, self.measure, self.latency),
        )

    def below(self, stair: Stair) -> Stair | None:
        """The next stair down; None at the foot."""
        least, level = self.bounds[0], stair.spent
        if self.measured(least) == level:
            return None
        return self.stair(last(lambda x: self.measured(x) >= level, least, stair.first))

    def above(self, stair: Stair) -> Stair | None:
        """The next stair up; None at the top."""
        most, level = self.bounds[1], stair.spent
        if self.measured(most) == level:
            return None
        return self.stair(first(lambda x: self.measured(x) > level, stair.last, most))


def first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest phi at which a rising condition holds; ``high`` where it never does."""
    return low if holds(low) else _edge(holds, low, high)[1]


def last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest phi at which a rising condition does not hold; ``low`` where it always does."""
    return _edge(holds, low, high)[0] if holds(high) else high


def _edge(holds: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    grain = 10.0**-GRAIN
    while high - low > 1.5 * grain:
        middle = round((low + high) / 2, GRAIN)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low, high
