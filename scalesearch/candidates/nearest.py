"""Network of a realised budget that is nearest to a direction of scaling.

The grid of all levels holds hundreds of millions of networks at eight times B0, nearly all of them
far from the direction. So only a window of levels is counted, around the point where the
direction's exact multipliers, rounded, realise the budget.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.scaled import scale, with_parts
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.custom_mesh import Mesh
from scalesearch.candidates.grid import Grid, depth_levels, resolution_levels, width_levels
from scalesearch.candidates.iso_cost import (
    Candidate,
    admitted_candidates,
    admitted_factors,
    grid_within_bounds,
    nearest_candidate,
)
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers, Shares

WINDOW_SPREADS = (1.1, 1.2, 1.4, 2.0, 4.0, 8.0)
"""Half-widths of a window, as factors of the central multipliers; it grows until it is enough."""

MAX_DISTANCE = 0.1
"""Distance on the simplex from which a custom model is searched in all directions."""

MAX_MESH_FACTOR = 4.0
"""Largest factor for that: some hundred networks are built, which must still be small."""

LOG_COST_SLACK = math.log(2)
"""Deviation of realised from nominal cost, in log cost."""

MAX_WINDOW_SIZE = 5_000_000
"""Networks that a window may hold: a tenth of a second.

It grows no further; then the set is so rich
that the nearest network found is within 0.01 of the direction.
"""


def nearest_on_budget(
    baseline: Architecture | CustomModel, shares: Shares, budget: Budget
) -> Candidate:
    """Find the budget's candidate with effective shares nearest to ``shares``.

    Ties go to the cost nearest to the budget. Raises ArchitectureError if there is none.
    """
    if isinstance(baseline, CustomModel):
        return _nearest_on_mesh(baseline, shares, budget)
    match = _nearest_in_windows(baseline, shares, budget)
    if match is None:
        raise ArchitectureError(_no_network_message(shares, budget))
    return Candidate(
        architecture=match.architecture,
        fingerprint=fingerprint(match.architecture),
        multipliers=match.multipliers,
        shares=match.multipliers.shares,
        cost=cost(match.architecture),
        factor=budget.cost_of(match.architecture) / budget.cost_of(baseline),
    )


def _nearest_on_mesh(baseline: CustomModel, shares: Shares, budget: Budget) -> Candidate:
    """Search towards the direction, then the whole mesh if that ends too far away."""
    mesh = Mesh(baseline, budget)
    candidates = list(admitted_candidates(baseline, mesh.networks_towards(shares), budget))
    nearest = nearest_candidate(candidates, shares)
    is_too_far = nearest is None or nearest.shares.distance(shares) > MAX_DISTANCE
    if is_too_far and max(budget.factor, 1 / budget.factor) <= MAX_MESH_FACTOR:
        nearest = nearest_candidate(
            [*candidates, *admitted_candidates(baseline, mesh.networks(), budget)], shares
        )
    if nearest is None:
        raise ArchitectureError(_no_network_message(shares, budget))
    return nearest


def _no_network_message(shares: Shares, budget: Budget) -> str:
    return (
        f"budget: no network in the direction of {shares} costs {budget.factor:.4g}x the "
        f"baseline's {budget.measure} within {budget.tolerance:.1%} under rounding "
        f"{budget.rounding_name!r}; take another rounding, a larger baseline or another phi"
    )


class _Match(NamedTuple):
    distance: float
    deviation: float
    multipliers: Multipliers
    architecture: Architecture


def _nearest_in_windows(baseline: Architecture, shares: Shares, budget: Budget) -> _Match | None:
    """Search windows that grow until no network outside can be nearer.

    Shares at a distance d put the log of a multiplier within d * log(factor) plus the slack of the
    centre's.
    """
    centre = _budget_crossing(baseline, shares, budget)
    log_factor = abs(math.log(centre.factor))
    match: _Match | None = None
    for spread in WINDOW_SPREADS:
        window = grid_within_bounds(_window(baseline, centre, budget, spread), budget)
        if window.size > MAX_WINDOW_SIZE:
            break
        match = _nearest_in_grid(window, shares, budget)
        if match is not None and math.log(spread) >= match.distance * log_factor + LOG_COST_SLACK:
            break
    return match


def _budget_crossing(baseline: Architecture, shares: Shares, budget: Budget) -> Multipliers:
    """Exact multipliers along the direction at which the rounded network meets the budget.

    Realised and nominal cost differ: the paper's coefficients ask for 1.9x at phi = 1, and B0
    under the official rounding costs 2.6x there.
    """
    coefficients = shares.coefficients(budget.factor)
    baseline_cost = budget.cost_of(baseline)

    def falls_short(exponent: float) -> bool:
        network = scale(baseline, coefficients.at(exponent), budget.rounding_profile)
        factor = budget.cost_of(network) / baseline_cost
        return bool(factor < budget.factor if budget.factor > 1 else factor > budget.factor)

    low, high = 0.0, 1.0
    while falls_short(high):
        low, high = high, high * 1.5
        if high > 4:  # the direction does not reach the budget: search around its end
            return coefficients.at(1)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return coefficients.at(high)


def _window(baseline: Architecture, centre: Multipliers, budget: Budget, spread: float) -> Grid:
    """Levels within the spread of the centre, none against ``Budget.smallest``."""

    def bounds(middle: float) -> tuple[float, float]:
        """Return the least and the greatest multiplier around a middle one."""
        low, high = middle / spread, middle * spread
        if budget.factor > 1 and middle >= budget.smallest:
            return max(low, budget.smallest), high
        if budget.factor < 1 and middle <= 1 / budget.smallest:
            return low, min(high, 1 / budget.smallest)
        return low, high  # the direction itself runs against the budget on this axis

    return Grid(
        baseline,
        depth_levels(baseline, budget.rounding_profile, *bounds(centre.depth)),
        width_levels(baseline, budget.rounding_profile, *bounds(centre.width)),
        resolution_levels(baseline, budget.rounding_profile, *bounds(centre.resolution)),
    )


def _nearest_in_grid(grid: Grid, shares: Shares, budget: Budget) -> _Match | None:
    if not grid.size:
        return None
    return min(_nearest_per_depth(grid, shares, budget), default=None, key=lambda f: f[:2])


def _nearest_per_depth(grid: Grid, shares: Shares, budget: Budget) -> Iterator[_Match]:
    widths = np.log([level.multiplier for level in grid.widths])
    resolutions = np.log([level.multiplier for level in grid.resolutions])
    target_shares = np.array(shares.as_tuple())[:, None]
    for depth, factors in zip(grid.depths, admitted_factors(grid, budget), strict=True):
        deviation = np.abs(factors / budget.factor - 1)
        w, r = np.nonzero(deviation <= budget.tolerance)
        log_factors = np.stack(
            (np.full(len(w), math.log(depth.multiplier)), 2 * widths[w], 2 * resolutions[r])
        )
        total = log_factors.sum(axis=0)
        has_shares = np.abs(total) > 1e-9  # multipliers of factor 1 have no shares
        if not has_shares.any():
            continue
        w, r, log_factors, total = (
            w[has_shares],
            r[has_shares],
            log_factors[:, has_shares],
            total[has_shares],
        )
        # Rounded, so that ties are the same on every machine.
        distance = np.linalg.norm(log_factors / total - target_shares, axis=0).round(9)
        best = np.lexsort((deviation[w, r], distance))[0]
        width, resolution = grid.widths[w[best]], grid.resolutions[r[best]]
        yield _Match(
            float(distance[best]),
            float(deviation[w[best], r[best]]),
            Multipliers(depth.multiplier, width.multiplier, resolution.multiplier),
            with_parts(
                grid.baseline,
                repeats=depth.value,
                widths=width.value,
                resolution=resolution.value,
            ),
        )
