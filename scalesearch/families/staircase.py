"""Networks along a direction of scaling: a staircase of their realised cost.

If no coefficient is below one, a network never gets smaller when phi rises, so bisection finds
every edge. A step has one cost; the neighbouring steps are the other networks of this direction.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from scalesearch.architectures.cost import cost
from scalesearch.architectures.latency_model import LatencyModel, Measure, cost_in_measure
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.architectures.totals import Cost
from scalesearch.scaling.coefficients import Coefficients, Multipliers
from scalesearch.scaling.rounding import Rounding

MAX_DEPTH_MULTIPLIER = 64.0
MAX_MULTIPLIER = 1e6
"""Largest multiplier of depth and of the steepest axis; the latter is at least the inverse."""

PHI_DECIMALS = 7
"""Decimals of phi. Just above a whole number of blocks, the last bits of a float deepen one stage
before another: steps of a width of 1e-9, which are no useful networks.
"""


@dataclass(frozen=True, slots=True)
class PathStep:
    """A network along the direction, and its interval of phi.

    ``phi``: middle of the interval ``first`` to ``last`` with this network's cost; 0 for the
    baseline. The interval may be a single point: exactly a whole number of blocks, and just enough
    channels to round up. ``multipliers``: those of phi. ``spent``: the measured cost. ``factor``:
    the cost relative to the baseline's.
    """

    phi: float
    phi_low: float
    phi_high: float
    multipliers: Multipliers
    architecture: Architecture
    cost: Cost
    measured_cost: float
    factor: float


@dataclass(frozen=True, slots=True)
class ScalingPath:
    """Networks along coefficients that are all at least one.

    ``latency``: model that predicts it, required if it is the measure.
    """

    baseline: Architecture
    coefficients: Coefficients
    measure: Measure
    rounding: Rounding
    latency: LatencyModel | None = None

    @property
    def phi_bounds(self) -> tuple[float, float]:
        """Range of phi in which networks are considered."""
        alpha, *other_logs = (math.log(base) for base in asdict(self.coefficients).values())
        max_phi = math.log(MAX_MULTIPLIER) / max(alpha, *other_logs)
        max_depth_phi = math.log(MAX_DEPTH_MULTIPLIER) / alpha if alpha else math.inf
        return -round(max_phi, PHI_DECIMALS), round(min(max_phi, max_depth_phi), PHI_DECIMALS)

    def network_at(self, phi: float) -> Architecture:
        """Network at this phi."""
        return scale(self.baseline, self.coefficients.at(round(phi, PHI_DECIMALS)), self.rounding)

    def measured_cost(self, phi: float) -> float:
        """Cost of the network at this phi, in the measure."""
        return cost_in_measure(self.network_at(phi), self.measure, self.latency)

    def step_at(self, phi: float) -> PathStep:
        """Step of the staircase at this phi."""
        cost_level = self.measured_cost(phi)
        min_phi, max_phi = self.phi_bounds
        phi_low = first_true(lambda x: self.measured_cost(x) >= cost_level, min_phi, phi)
        phi_high = last_false(lambda x: self.measured_cost(x) > cost_level, phi, max_phi)
        is_baseline = phi_low <= 0 <= phi_high and self.measured_cost(0) == cost_level
        middle = 0.0 if is_baseline else round((phi_low + phi_high) / 2, PHI_DECIMALS)
        network = self.network_at(middle)
        return PathStep(
            phi=middle,
            phi_low=phi_low,
            phi_high=phi_high,
            multipliers=self.coefficients.at(middle),
            architecture=network,
            cost=cost(network),
            measured_cost=cost_level,
            factor=cost_level / cost_in_measure(self.baseline, self.measure, self.latency),
        )

    def step_below(self, step: PathStep) -> PathStep | None:
        """Next step down; None at the lowest."""
        min_phi, level = self.phi_bounds[0], step.measured_cost
        if self.measured_cost(min_phi) == level:
            return None
        return self.step_at(
            last_false(lambda x: self.measured_cost(x) >= level, min_phi, step.phi_low)
        )

    def step_above(self, step: PathStep) -> PathStep | None:
        """Next step up; None at the highest."""
        max_phi, level = self.phi_bounds[1], step.measured_cost
        if self.measured_cost(max_phi) == level:
            return None
        return self.step_at(
            first_true(lambda x: self.measured_cost(x) > level, step.phi_high, max_phi)
        )


def first_true(condition: Callable[[float], bool], low: float, high: float) -> float:
    """Smallest phi at which a rising condition holds; ``high`` if it never does."""
    return low if condition(low) else _bisect(condition, low, high)[1]


def last_false(condition: Callable[[float], bool], low: float, high: float) -> float:
    """Largest phi at which a rising condition fails; ``low`` if it always holds."""
    return _bisect(condition, low, high)[0] if condition(high) else high


def _bisect(condition: Callable[[float], bool], low: float, high: float) -> tuple[float, float]:
    resolution = 10.0**-PHI_DECIMALS
    while high - low > 1.5 * resolution:
        middle = round((low + high) / 2, PHI_DECIMALS)
        low, high = (low, middle) if condition(middle) else (middle, high)
    return low, high
