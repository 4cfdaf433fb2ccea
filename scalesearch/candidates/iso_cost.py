"""The iso-cost set: every distinct network whose realised cost meets a budget.

Coefficients of product 2 cost 1.93 to 3.1 times B0 once they are rounded to whole networks, so a
search that trusts the product compares networks of different cost. Enumerating the networks of
equal realised cost makes every candidate compute-matched and none a duplicate.
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.latency_model import Measure, cost_in_measure
from scalesearch.architectures.scaled import scale, with_parts
from scalesearch.architectures.stages import Architecture
from scalesearch.architectures.totals import Cost
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.custom_mesh import Mesh
from scalesearch.candidates.grid import CostArray, Grid, reachable_grid, width_level
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers, Shares
from scalesearch.scaling.rounding import FLOAT_NOISE


class StuckAxisWarning(UserWarning):
    """The baseline cannot spend the budget along one of the axes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that a budget admits.

    ``multipliers`` and ``shares`` are effective: realised by the rounded network, not the
    requested ones. A custom model's depth and width are the requested ones, since only its code
    knows the rounding. ``factor``: realised cost over the baseline's, in the budget's measure.
    """

    architecture: Architecture | CustomModel
    fingerprint: str
    multipliers: Multipliers
    shares: Shares
    cost: Cost
    factor: float


def iso_cost_set(baseline: Architecture | CustomModel, budget: Budget) -> tuple[Candidate, ...]:
    """Enumerate the distinct networks whose realised cost meets the budget, by shares.

    Raises ArchitectureError, with the nearest possible factor, if there is none. Issues a
    StuckAxisWarning, with the remedy, for each axis that cannot take the budget alone. A custom
    model's set is sampled on a mesh (see ``custom_mesh``), some hundred networks counted.
    """
    if isinstance(baseline, CustomModel):
        candidates, nearest_factor = _candidates_on_mesh(baseline, budget)
    else:
        candidates, nearest_factor = _candidates_on_grid(baseline, budget)
    if not candidates:
        raise ArchitectureError(_no_candidate_message(budget, nearest_factor))
    candidates.sort(key=lambda candidate: (candidate.shares.as_tuple(), candidate.fingerprint))
    for message in stuck_axis_messages(baseline, budget, candidates):
        warnings.warn(message, StuckAxisWarning, stacklevel=2)
    return tuple(candidates)


def _candidates_on_grid(baseline: Architecture, budget: Budget) -> tuple[list[Candidate], float]:
    """Candidates, and the realised factor nearest to the budget."""
    baseline_cost = budget.cost_of(baseline)
    grid = grid_within_bounds(reachable_grid(baseline, budget), budget)
    candidates: list[Candidate] = []
    nearest_factor = np.inf
    for depth, factors in zip(grid.depths, admitted_factors(grid, budget), strict=True):
        if not np.isfinite(factors).any():
            continue
        deviation = np.abs(factors / budget.factor - 1)
        nearest_factor = min(
            nearest_factor, factors.flat[deviation.argmin()], key=lambda f: abs(f - budget.factor)
        )
        for w, r in np.argwhere(deviation <= budget.tolerance):
            width, resolution = grid.widths[w], grid.resolutions[r]
            if depth.multiplier == width.multiplier == resolution.multiplier == 1:
                continue  # the baseline itself spends nothing, so it has no direction
            network = with_parts(
                baseline,
                repeats=depth.value,
                widths=width.value,
                resolution=resolution.value,
            )
            realised = Multipliers(depth.multiplier, width.multiplier, resolution.multiplier)
            candidates.append(_candidate(network, realised, budget, baseline_cost))
    return candidates, float(nearest_factor)


def _candidates_on_mesh(baseline: CustomModel, budget: Budget) -> tuple[list[Candidate], float]:
    networks = list(Mesh(baseline, budget).networks())
    candidates_by_fingerprint = {
        candidate.fingerprint: candidate
        for candidate in admitted_candidates(baseline, networks, budget)
    }
    factors = [Mesh(baseline, budget).factor(network) for network in networks]
    return list(candidates_by_fingerprint.values()), min(
        factors, key=lambda factor: abs(factor - budget.factor), default=np.inf
    )


def admitted_candidates(
    baseline: CustomModel, networks: Iterable[CustomModel], budget: Budget
) -> Iterator[Candidate]:
    """Candidates among networks that meet the budget and its limits."""
    baseline_cost = budget.cost_of(baseline)
    limits = [
        (measure, limit * cost_in_measure(baseline, measure, budget.latency))
        for measure, limit in budget.limits
    ]
    for network in networks:
        realised = custom_multipliers(baseline, network)
        is_within_limits = abs(realised.factor - 1) > FLOAT_NOISE and all(
            cost_in_measure(network, measure, budget.latency) <= max_cost
            for measure, max_cost in limits
        )
        if is_within_limits and budget.is_met_by(budget.cost_of(network) / baseline_cost):
            yield _candidate(network, realised, budget, baseline_cost)


def custom_multipliers(baseline: CustomModel, network: CustomModel) -> Multipliers:
    """Return requested depth and width, and actual pixels, relative to the baseline."""
    return Multipliers(
        network.depth / baseline.depth,
        network.width / baseline.width,
        network.resolution / baseline.resolution,
    )


def grid_within_bounds(grid: Grid, budget: Budget) -> Grid:
    """Part of the grid whose resolutions the budget admits."""
    min_pixels, max_pixels = budget.resolution_bounds
    return replace(
        grid,
        resolutions=[
            level for level in grid.resolutions if min_pixels <= level.value <= max_pixels
        ],
    )


def admitted_factors(grid: Grid, budget: Budget) -> Iterator[CostArray]:
    """(width, resolution) matrix of realised factors for each depth level.

    Infinite if a network breaks one of the budget's limits.
    """
    if not grid.resolutions:
        yield from (np.empty((len(grid.widths), 0)) for _ in grid.depths)
        return
    measures: list[Measure] = [budget.measure, *(measure for measure, _ in budget.limits)]
    baseline_cost, *bounded_costs = (
        cost_in_measure(grid.baseline, measure, budget.latency) for measure in measures
    )
    max_costs = [
        limit * spent for (_, limit), spent in zip(budget.limits, bounded_costs, strict=True)
    ]
    counted = (grid.costs(measure, budget.latency) for measure in measures)
    for costs, *bounded in zip(*counted, strict=True):
        factors = costs / baseline_cost
        for max_cost, spent in zip(max_costs, bounded, strict=True):
            factors[spent > max_cost] = np.inf
        yield factors


def nominal_candidate(
    baseline: Architecture | CustomModel, multipliers: Multipliers, budget: Budget
) -> Candidate:
    """Candidate of given multipliers under the budget's rounding, whatever it costs.

    Raises ArchitectureError if rounding leaves the baseline unchanged.
    """
    network: Architecture | CustomModel
    if isinstance(baseline, CustomModel):
        network = scale(baseline, multipliers, budget.rounding_profile)
        realised = custom_multipliers(baseline, network)
    else:
        network = scale(baseline, multipliers, budget.rounding_profile)
        realised = Multipliers(
            network.num_blocks / baseline.num_blocks,
            width_level(baseline, budget.rounding_profile, multipliers.width).multiplier,
            network.resolution / baseline.resolution,
        )
    if fingerprint(network) == fingerprint(baseline):
        raise ArchitectureError(
            f"rounding {budget.rounding_name!r}: {multipliers} leaves the baseline unchanged; ask "
            "for "
            "more"
        )
    return _candidate(network, realised, budget, budget.cost_of(baseline))


def nearest_candidate(
    candidates: Sequence[Candidate], shares: Shares, excluded: Collection[str] = ()
) -> Candidate | None:
    """Candidate nearest on the simplex whose fingerprint is not ``excluded``, if any.

    Ties go to the smaller fingerprint, so the order does not matter.
    """
    return min(
        (candidate for candidate in candidates if candidate.fingerprint not in excluded),
        key=lambda candidate: (round(candidate.shares.distance(shares), 9), candidate.fingerprint),
        default=None,
    )


def stuck_axis_messages(
    baseline: Architecture | CustomModel, budget: Budget, candidates: Sequence[Candidate]
) -> Iterator[str]:
    """Sentence for each axis that no candidate gives 90% of the budget."""
    remedies = {
        "depth": "Take a deeper baseline, whose depth moves in finer steps",
        "width": "Take a wider baseline, whose channels move in finer steps",
        "resolution": _resolution_remedy(baseline),
    }
    if budget.bounds_text:
        remedies = dict.fromkeys(
            remedies, f"The budget also asks for {budget.bounds_text}: loosen that"
        )
    if budget.measure == "params":
        del remedies["resolution"]  # free in this measure
    for axis, remedy in remedies.items():
        share = max(getattr(candidate.shares, axis) for candidate in candidates)
        if share < 0.9:
            yield (
                f"{axis}: this baseline cannot spend {budget.factor:g}x on {axis} alone; the "
                f"nearest network spends {share:.0%} of it there. {remedy}, or a wider tolerance."
            )


def _resolution_remedy(baseline: Architecture | CustomModel) -> str:
    if isinstance(baseline, CustomModel):
        return f"At {baseline.resolution} px every stride rounds sizes up: take a higher resolution"
    return (
        f"At {baseline.resolution} px and stride {baseline.total_stride} the last feature map is "
        f"{-(-baseline.resolution // baseline.total_stride)} px wide, and every stride rounds up: "
        "take stem_stride 1 or a higher resolution"
    )


def _no_candidate_message(budget: Budget, nearest_factor: float) -> str:
    bounds = f" and {budget.bounds_text}" if budget.bounds_text else ""
    message = (
        f"budget: no network of this baseline costs {budget.factor:g}x its {budget.measure} within "
        f"{100 * budget.tolerance:g}%{bounds} under rounding {budget.rounding_name!r}; "
    )
    if not np.isfinite(nearest_factor):
        return f"{message}none at all keeps to these bounds; loosen them"
    remedy = "the tolerance or the bounds" if bounds else "the tolerance"
    return (
        f"{message}the nearest costs {nearest_factor:.3f}x; "
        f"widen {remedy}, or take a larger baseline"
    )


def _candidate(
    network: Architecture | CustomModel, realised: Multipliers, budget: Budget, baseline_cost: float
) -> Candidate:
    return Candidate(
        architecture=network,
        fingerprint=fingerprint(network),
        multipliers=realised,
        shares=realised.shares,
        cost=cost(network),
        factor=budget.cost_of(network) / baseline_cost,
    )
