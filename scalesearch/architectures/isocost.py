"""The iso-cost set: every distinct network whose realised cost meets a budget.

Coefficients whose product is exactly 2 cost 1.93 to 3.1 times B0 once they are rounded to whole
networks, so a search that trusts the product compares networks of different cost. Enumerating the
networks of equal realised cost makes every candidate compute-matched and none a duplicate.
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalesearch.architectures.budget import Budget
from scalesearch.architectures.cost import Cost, cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.grid import Counts, Grid, grid_around
from scalesearch.architectures.levels import width_level
from scalesearch.architectures.measures import Measure, measured
from scalesearch.architectures.mesh import Mesh
from scalesearch.architectures.scale import scaled, with_parts
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.scaling import FLOAT_NOISE, Multipliers, Shares


class AxisWarning(UserWarning):
    """The baseline cannot spend the budget along one of the axes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that a budget admits.

    ``multipliers`` and ``shares`` are effective: realised by the whole-number network, not asked
    for; a foreign network's depth and width are as asked, since only its code knows what it made of
    them. ``factor``: its realised cost over the baseline's, in the budget's measure.
    """

    architecture: Architecture | Foreign
    fingerprint: str
    multipliers: Multipliers
    shares: Shares
    cost: Cost
    factor: float


def isocost(baseline: Architecture | Foreign, budget: Budget) -> tuple[Candidate, ...]:
    """Every distinct network whose realised cost is within the budget, ordered by shares.

    Raises ArchitectureError, with the nearest realisable factor, where there is none. Issues an
    AxisWarning, with the remedy, for each axis that cannot take the budget alone.
    A foreign baseline's set is sampled on a mesh (see ``mesh``), some hundred networks counted.
    """
    if isinstance(baseline, Foreign):
        found, nearest = _on_mesh(baseline, budget)
    else:
        found, nearest = _on_grid(baseline, budget)
    if not found:
        raise ArchitectureError(_refusal(budget, nearest))
    found.sort(key=lambda candidate: (candidate.shares.as_tuple(), candidate.fingerprint))
    for message in stuck_axes(baseline, budget, found):
        warnings.warn(message, AxisWarning, stacklevel=2)
    return tuple(found)


def _on_grid(baseline: Architecture, budget: Budget) -> tuple[list[Candidate], float]:
    """The candidates, and the realised factor nearest to the budget."""
    own = budget.spent(baseline)
    grid = within_bounds(grid_around(baseline, budget), budget)
    found: list[Candidate] = []
    nearest = np.inf
    for depth, factors in zip(grid.depths, admitted_factors(grid, budget), strict=True):
        if not np.isfinite(factors).any():
            continue
        off = np.abs(factors / budget.factor - 1)
        nearest = min(nearest, factors.flat[off.argmin()], key=lambda f: abs(f - budget.factor))
        for w, r in np.argwhere(off <= budget.tolerance):
            width, resolution = grid.widths[w], grid.resolutions[r]
            if depth.multiplier == width.multiplier == resolution.multiplier == 1:
                continue  # the baseline itself spends nothing, and so in no direction
            network = with_parts(
                baseline,
                repeats=depth.setting,
                widths=width.setting,
                resolution=resolution.setting,
            )
            realised = Multipliers(depth.multiplier, width.multiplier, resolution.multiplier)
            found.append(_candidate(network, realised, budget, own))
    return found, float(nearest)


def _on_mesh(baseline: Foreign, budget: Budget) -> tuple[list[Candidate], float]:
    networks = list(Mesh(baseline, budget).networks())
    found = {candidate.fingerprint: candidate for candidate in meshed(baseline, networks, budget)}
    factors = [Mesh(baseline, budget).factor(network) for network in networks]
    return list(found.values()), min(
        factors, key=lambda factor: abs(factor - budget.factor), default=np.inf
    )


def meshed(baseline: Foreign, networks: Iterable[Foreign], budget: Budget) -> Iterator[Candidate]:
    """The candidates among networks: those that keep to the budget and its limits."""
    own = budget.spent(baseline)
    limits = [
        (measure, limit * measured(baseline, measure, budget.latency))
        for measure, limit in budget.limits
    ]
    for network in networks:
        realised = foreign_multipliers(baseline, network)
        kept = abs(realised.factor - 1) > FLOAT_NOISE and all(
            measured(network, measure, budget.latency) <= most for measure, most in limits
        )
        if kept and budget.meets(budget.spent(network) / own):
            yield _candidate(network, realised, budget, own)


def foreign_multipliers(baseline: Foreign, network: Foreign) -> Multipliers:
    """Depth and width as they were asked for, pixels as they are."""
    return Multipliers(
        network.depth / baseline.depth,
        network.width / baseline.width,
        network.resolution / baseline.resolution,
    )


def within_bounds(grid: Grid, budget: Budget) -> Grid:
    """The part of the grid whose resolutions the budget admits."""
    least, most = budget.pixels
    return replace(
        grid, resolutions=[level for level in grid.resolutions if least <= level.setting <= most]
    )


def admitted_factors(grid: Grid, budget: Budget) -> Iterator[Counts]:
    """For each depth level the (width, resolution) matrix of realised factors of the baseline's
    measure; infinite where a network breaks one of the budget's limits."""
    if not grid.resolutions:
        yield from (np.empty((len(grid.widths), 0)) for _ in grid.depths)
        return
    measures: list[Measure] = [budget.measure, *(measure for measure, _ in budget.limits)]
    own, *bounded = (measured(grid.baseline, measure, budget.latency) for measure in measures)
    allowed = [limit * spent for (_, limit), spent in zip(budget.limits, bounded, strict=True)]
    counted = (grid.costs(measure, budget.latency) for measure in measures)
    for costs, *others in zip(*counted, strict=True):
        factors = costs / own
        for most, spent in zip(allowed, others, strict=True):
            factors[spent > most] = np.inf
        yield factors


def nominal_candidate(
    baseline: Architecture | Foreign, asked: Multipliers, budget: Budget
) -> Candidate:
    """What multipliers give under the budget's rounding, whatever that costs.

    Raises ArchitectureError where rounding leaves the baseline as it is.
    """
    network: Architecture | Foreign
    if isinstance(baseline, Foreign):
        network = scaled(baseline, asked, budget.profile)
        realised = foreign_multipliers(baseline, network)
    else:
        network = scaled(baseline, asked, budget.profile)
        realised = Multipliers(
            network.blocks / baseline.blocks,
            width_level(baseline, budget.profile, asked.width).multiplier,
            network.resolution / baseline.resolution,
        )
    if fingerprint(network) == fingerprint(baseline):
        raise ArchitectureError(
            f"rounding {budget.rounding_name!r}: {asked} leaves the baseline unchanged; ask for "
            "more"
        )
    return _candidate(network, realised, budget, budget.spent(baseline))


def nearest_candidate(
    candidates: Sequence[Candidate], shares: Shares, without: Collection[str] = ()
) -> Candidate | None:
    """The candidate nearest on the simplex whose fingerprint is not in ``without``, if any is left.

    Ties go to the smaller fingerprint, so that the answer does not hang on the order.
    """
    return min(
        (candidate for candidate in candidates if candidate.fingerprint not in without),
        key=lambda candidate: (round(candidate.shares.distance(shares), 9), candidate.fingerprint),
        default=None,
    )


def stuck_axes(
    baseline: Architecture | Foreign, budget: Budget, candidates: Sequence[Candidate]
) -> Iterator[str]:
    """A sentence, with the remedy, for each axis that no candidate gives 90% of the budget."""
    remedies = {
        "depth": "Take a deeper baseline, whose depth moves in finer steps",
        "width": "Take a wider baseline, whose channels move in finer steps",
        "resolution": _more_pixels(baseline),
    }
    if budget.bounds:
        remedies = dict.fromkeys(remedies, f"The budget also asks for {budget.bounds}: loosen that")
    if budget.measure == "params":
        del remedies["resolution"]  # which costs none
    for axis, remedy in remedies.items():
        share = max(getattr(candidate.shares, axis) for candidate in candidates)
        if share < 0.9:
            yield (
                f"{axis}: this baseline cannot spend {budget.factor:g}x on {axis} alone; the "
                f"nearest network spends {share:.0%} of it there. {remedy}, or a wider tolerance."
            )


def _more_pixels(baseline: Architecture | Foreign) -> str:
    if isinstance(baseline, Foreign):
        return f"At {baseline.resolution} px every stride rounds sizes up: take a higher resolution"
    return (
        f"At {baseline.resolution} px and stride {baseline.stride} the last feature map is "
        f"{-(-baseline.resolution // baseline.stride)} px wide, and every stride rounds up: "
        "take stem_stride 1 or a higher resolution"
    )


def _refusal(budget: Budget, nearest: float) -> str:
    bounds = f" and {budget.bounds}" if budget.bounds else ""
    where = (
        f"budget: no network of this baseline costs {budget.factor:g}x its {budget.measure} within "
        f"{100 * budget.tolerance:g}%{bounds} under rounding {budget.rounding_name!r}; "
    )
    if not np.isfinite(nearest):
        return f"{where}none at all keeps to these bounds; loosen them"
    loosen = "the tolerance or the bounds" if bounds else "the tolerance"
    return f"{where}the nearest costs {nearest:.3f}x; widen {loosen}, or take a larger baseline"


def _candidate(
    network: Architecture | Foreign, realised: Multipliers, budget: Budget, own: float
) -> Candidate:
    return Candidate(
        architecture=network,
        fingerprint=fingerprint(network),
        multipliers=realised,
        shares=realised.shares,
        cost=cost(network),
        factor=budget.spent(network) / own,
    )
