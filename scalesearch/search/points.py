"""Networks that an experiment lists one by one, as a plan."""

from collections.abc import Sequence
from dataclasses import replace

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.architectures.budget import Budget
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.isocost import Candidate, isocost, nominal_candidate
from scalesearch.architectures.matched import nearest_on_budget
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.experiment import PointSpec
from scalesearch.scaling import Coefficients, Multipliers, Shares
from scalesearch.search.plan import EVEN, Cell, Planned, Space, assigned


def listed(
    points: Sequence[PointSpec], baseline: Architecture | Foreign, budget: Budget
) -> tuple[Space, tuple[Planned, ...]]:
    """The networks of the points, in their order, and the plan to train them all.

    Points that come to one network are one candidate with several cells. Raises SearchError for a
    point that names no network, ArchitectureError for one whose cost cannot be had.
    """
    planned: dict[str, Planned] = {}
    for point in points:
        candidate, asked = _network(point, baseline, budget)
        assigned(planned, candidate, Cell(point.name, point.role, asked))
    plan = tuple(planned.values())
    return Space(baseline, budget, tuple(item.candidate for item in plan)), plan


def _network(
    point: PointSpec, baseline: Architecture | Foreign, budget: Budget
) -> tuple[Candidate, Coefficients]:
    if point.candidate is not None:
        candidate = _by_name(point, baseline, budget)
        return candidate, candidate.shares.coefficients(budget.factor)
    if point.factor is not None and point.shares is not None:
        shares = Shares(*point.shares)
        matched = replace(budget, factor=point.factor, mode="realised")
        return nearest_on_budget(baseline, shares, matched), shares.coefficients(point.factor)
    asked = Multipliers(*point.multipliers)
    try:
        candidate = nominal_candidate(baseline, asked, budget)
    except ArchitectureError:  # rounding takes it back to the baseline
        candidate = _itself(baseline)
    return candidate, Coefficients(*point.multipliers)


def _itself(baseline: Architecture | Foreign) -> Candidate:
    """The baseline among its own candidates: it spends nothing, in no direction."""
    name, spent = fingerprint(baseline), cost(baseline)
    return Candidate(baseline, name, Multipliers(), EVEN, spent, 1.0)


def _by_name(point: PointSpec, baseline: Architecture | Foreign, budget: Budget) -> Candidate:
    candidates = isocost(baseline, budget)
    found = [one for one in candidates if one.fingerprint.startswith(str(point.candidate))]
    if len(found) != 1:
        known = ", ".join(one.fingerprint for one in found[:3]) or "none"
        raise SearchError(
            f"search.points: {point.name}: need the fingerprint of one of the budget's "
            f"{len(candidates)} networks, got {point.candidate!r}, with which {known} begin"
        )
    return found[0]
