"""The network of a realised budget that lies nearest to a direction of scaling.

The grid of all levels holds hundreds of millions of networks at eight times B0, nearly all of them
far from the direction. So only a window of levels is counted, around the point where the
direction's exact multipliers, rounded, realise the budget.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scalesearch.architectures.budget import Budget
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.grid import Grid
from scalesearch.architectures.isocost import (
    Candidate,
    admitted_factors,
    meshed,
    nearest_candidate,
    within_bounds,
)
from scalesearch.architectures.levels import depth_levels, resolution_levels, width_levels
from scalesearch.architectures.mesh import Mesh
from scalesearch.architectures.scale import scaled, with_parts
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.scaling import Multipliers, Shares

SPREADS = (1.1, 1.2, 1.4, 2.0, 4.0, 8.0)
"""Half-widths of a window, as factors of the central multipliers; it grows until it suffices."""

ASTRAY = 0.1
"""Distance on the simplex from which on code's network is looked for in all directions."""

NEARBY = 4.0
"""Factor up to which it is: some hundred networks are made for it, which are then still small."""

SLACK = math.log(2)
"""How far, in log cost, what networks realise strays from what their multipliers promise."""

LARGEST = 5_000_000
"""Networks that a window may hold: a tenth of a second. It grows no further; where it would have
to, the set is so rich that the nearest found is within 0.01 of the direction."""


def nearest_on_budget(
    baseline: Architecture | Foreign, shares: Shares, budget: Budget
) -> Candidate:
    """The candidate of the budget whose effective shares are nearest to ``shares``.

    Ties go to the cost nearest to the budget. Raises ArchitectureError where there is none.
    """
    if isinstance(baseline, Foreign):
        return _nearest_on_mesh(baseline, shares, budget)
    found = _nearest_in_windows(baseline, shares, budget)
    if found is None:
        raise ArchitectureError(_refusal(shares, budget))
    return Candidate(
        architecture=found.architecture,
        fingerprint=fingerprint(found.architecture),
        multipliers=found.multipliers,
        shares=found.multipliers.shares,
        cost=cost(found.architecture),
        factor=budget.spent(found.architecture) / budget.spent(baseline),
    )


def _nearest_on_mesh(baseline: Foreign, shares: Shares, budget: Budget) -> Candidate:
    """From where the direction points; from the whole mesh where that leads astray."""
    mesh = Mesh(baseline, budget)
    found = list(meshed(baseline, mesh.towards(shares), budget))
    nearest = nearest_candidate(found, shares)
    astray = nearest is None or nearest.shares.distance(shares) > ASTRAY
    if astray and max(budget.factor, 1 / budget.factor) <= NEARBY:
        nearest = nearest_candidate([*found, *meshed(baseline, mesh.networks(), budget)], shares)
    if nearest is None:
        raise ArchitectureError(_refusal(shares, budget))
    return nearest


def _refusal(shares: Shares, budget: Budget) -> str:
    return (
        f"budget: no network in the direction of {shares} costs {budget.factor:.4g}x the "
        f"baseline's {budget.measure} within {budget.tolerance:.1%} under rounding "
        f"{budget.rounding_name!r}; take another rounding, a larger baseline or another phi"
    )


class _Found(NamedTuple):
    distance: float
    off: float
    multipliers: Multipliers
    architecture: Architecture


def _nearest_in_windows(baseline: Architecture, shares: Shares, budget: Budget) -> _Found | None:
    """The nearest of a window that grows until no network outside it should be nearer: shares at
    a distance d put the log of a multiplier within d * log(factor), and the slack, of the centre's.
    """
    centre = _crossing(baseline, shares, budget)
    reach = abs(math.log(centre.factor))
    found: _Found | None = None
    for spread in SPREADS:
        window = within_bounds(_window(baseline, centre, budget, spread), budget)
        if window.size > LARGEST:
            break
        found = _nearest(window, shares, budget)
        if found is not None and math.log(spread) >= found.distance * reach + SLACK:
            break
    return found


def _crossing(baseline: Architecture, shares: Shares, budget: Budget) -> Multipliers:
    """The exact multipliers along the direction at which the rounded network meets the budget.

    Realised and nominal cost part ways: the paper's coefficients ask for 1.9x at phi = 1, and B0
    under the official rounding costs 2.6x there.
    """
    along = shares.coefficients(budget.factor)
    own = budget.spent(baseline)

    def falls_short(exponent: float) -> bool:
        network = scaled(baseline, along.at(exponent), budget.profile)
        factor = budget.spent(network) / own
        return bool(factor < budget.factor if budget.factor > 1 else factor > budget.factor)

    low, high = 0.0, 1.0
    while falls_short(high):
        low, high = high, high * 1.5
        if high > 4:  # the direction does not lead to the budget: look around where it points
            return along.at(1)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return along.at(high)


def _window(baseline: Architecture, centre: Multipliers, budget: Budget, spread: float) -> Grid:
    """All levels within the spread of the centre, none against the budget (``Budget.smallest``)."""

    def bounds(middle: float) -> tuple[float, float]:
        low, high = middle / spread, middle * spread
        if budget.factor > 1 and middle >= budget.smallest:
            return max(low, budget.smallest), high
        if budget.factor < 1 and middle <= 1 / budget.smallest:
            return low, min(high, 1 / budget.smallest)
        return low, high  # a direction that itself runs against the budget on this axis

    return Grid(
        baseline,
        depth_levels(baseline, budget.profile, *bounds(centre.depth)),
        width_levels(baseline, budget.profile, *bounds(centre.width)),
        resolution_levels(baseline, budget.profile, *bounds(centre.resolution)),
    )


def _nearest(grid: Grid, shares: Shares, budget: Budget) -> _Found | None:
    if not grid.size:
        return None
    return min(_nearest_of_each_depth(grid, shares, budget), default=None, key=lambda f: f[:2])


def _nearest_of_each_depth(grid: Grid, shares: Shares, budget: Budget) -> Iterator[_Found]:
    widths = np.log([level.multiplier for level in grid.widths])
    resolutions = np.log([level.multiplier for level in grid.resolutions])
    wanted = np.array(shares.as_tuple())[:, None]
    for depth, factors in zip(grid.depths, admitted_factors(grid, budget), strict=True):
        off = np.abs(factors / budget.factor - 1)
        w, r = np.nonzero(off <= budget.tolerance)
        spent = np.stack(
            (np.full(len(w), math.log(depth.multiplier)), 2 * widths[w], 2 * resolutions[r])
        )
        total = spent.sum(axis=0)
        spends = np.abs(total) > 1e-9  # multipliers of factor 1 have no shares
        if not spends.any():
            continue
        w, r, spent, total = w[spends], r[spends], spent[:, spends], total[spends]
        # Rounded, so that a tie is one on every machine.
        distance = np.linalg.norm(spent / total - wanted, axis=0).round(9)
        best = np.lexsort((off[w, r], distance))[0]
        width, resolution = grid.widths[w[best]], grid.resolutions[r[best]]
        yield _Found(
            float(distance[best]),
            float(off[w[best], r[best]]),
            Multipliers(depth.multiplier, width.multiplier, resolution.multiplier),
            with_parts(
                grid.baseline,
                repeats=depth.setting,
                widths=width.setting,
                resolution=resolution.setting,
            ),
        )
