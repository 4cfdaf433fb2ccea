"""Networks that an experiment lists one by one, as a plan."""

from collections.abc import Sequence
from dataclasses import replace

from scalesearch.architectures import Architecture, CustomModel, cost
from scalesearch.architectures.budget import Budget
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.isocost import Candidate, iso_cost_set, nominal_candidate
from scalesearch.architectures.matched import nearest_on_budget
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.experiment import PointSpec
from scalesearch.scaling import Coefficients, Multipliers, Shares
from scalesearch.search.plan import EVEN_SHARES, DesignCell, PlannedTrial, SearchSpace, add_cell


def trials_of_points(
    points: Sequence[PointSpec], baseline: Architecture | CustomModel, budget: Budget
) -> tuple[SearchSpace, tuple[PlannedTrial, ...]]:
    """The networks of the points, in their order, and the plan to train them all.

    Points that come to one network are one candidate with several cells. Raises SearchError for a
    point that names no network, ArchitectureError for one whose cost cannot be had.
    """
    trials_by_fingerprint: dict[str, PlannedTrial] = {}
    for point in points:
        candidate, requested = _candidate_of_point(point, baseline, budget)
        add_cell(trials_by_fingerprint, candidate, DesignCell(point.name, point.role, requested))
    trials = tuple(trials_by_fingerprint.values())
    return SearchSpace(baseline, budget, tuple(trial.candidate for trial in trials)), trials


def _candidate_of_point(
    point: PointSpec, baseline: Architecture | CustomModel, budget: Budget
) -> tuple[Candidate, Coefficients]:
    if point.candidate is not None:
        candidate = _candidate_by_fingerprint(point, baseline, budget)
        return candidate, candidate.shares.coefficients(budget.factor)
    if point.factor is not None and point.shares is not None:
        shares = Shares(*point.shares)
        point_budget = replace(budget, factor=point.factor, mode="realised")
        return nearest_on_budget(baseline, shares, point_budget), shares.coefficients(point.factor)
    multipliers = Multipliers(*point.multipliers)
    try:
        candidate = nominal_candidate(baseline, multipliers, budget)
    except ArchitectureError:  # rounding takes it back to the baseline
        candidate = _baseline_candidate(baseline)
    return candidate, Coefficients(*point.multipliers)


def _baseline_candidate(baseline: Architecture | CustomModel) -> Candidate:
    """The baseline among its own candidates: it spends nothing, in no direction."""
    name, baseline_cost = fingerprint(baseline), cost(baseline)
    return Candidate(baseline, name, Multipliers(), EVEN_SHARES, baseline_cost, 1.0)


def _candidate_by_fingerprint(point: PointSpec, baseline: Architecture | CustomModel, budget: Budget) -> Candidate:
    candidates = iso_cost_set(baseline, budget)
    matches = [candidate for candidate in candidates if candidate.fingerprint.startswith(str(point.candidate))]
    if len(matches) != 1:
        examples = ", ".join(one.fingerprint for one in matches[:3]) or "none"
        raise SearchError(
            f"search.points: {point.name}: need the fingerprint of one of the budget's "
            f"{len(candidates)} networks, got {point.candidate!r}, with which {examples} begin"
        )
    return matches[0]
