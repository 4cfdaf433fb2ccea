"""Networks that an experiment lists one by one, as a plan.

Where candidates come from: the plan, then what a sampler proposes, in cohorts.

A candidate has a place, its number in that order, and it keeps it whatever happens to the search.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.iso_cost import Candidate, iso_cost_set, nominal_candidate
from scalesearch.candidates.nearest import nearest_on_budget
from scalesearch.config.experiment import Experiment
from scalesearch.config.search_spec import PointSpec
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.search.design import EVEN_SHARES, DesignCell, PlannedTrial, SearchSpace, add_cell
from scalesearch.search.samplers import LEARNING_SAMPLERS, Observation, proposal


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


def _candidate_by_fingerprint(
    point: PointSpec, baseline: Architecture | CustomModel, budget: Budget
) -> Candidate:
    candidates = iso_cost_set(baseline, budget)
    matches = [
        candidate
        for candidate in candidates
        if candidate.fingerprint.startswith(str(point.candidate))
    ]
    if len(matches) != 1:
        examples = ", ".join(one.fingerprint for one in matches[:3]) or "none"
        raise SearchError(
            f"search.points: {point.name}: need the fingerprint of one of the budget's "
            f"{len(candidates)} networks, got {point.candidate!r}, with which {examples} begin"
        )
    return matches[0]


HISTORY_PRUNERS = ("median", "hyperband")
"""Pruners that compare a candidate with those that ended before it, so that a plan is trained in
cohorts under them."""


@dataclass(frozen=True)
class CandidateSource:
    """The candidates of an experiment. ``replayed``: shares that are proposed in place of the
    sampler's own, from the log of another run."""

    experiment: Experiment
    space: SearchSpace
    planned: tuple[PlannedTrial, ...]
    replayed_shares: tuple[Shares, ...] = field(default=(), repr=False)

    @cached_property
    def index_by_cell(self) -> dict[str, int]:
        """The place of each planned cell, by its name."""
        index_by_name = (
            (c.name, index) for index, trial in enumerate(self.planned) for c in trial.cells
        )
        return dict(index_by_name)

    @property
    def max_trials(self) -> int:
        """How many candidates there are at most."""
        return len(self.planned) + (self.experiment.search.proposal_count or 0)

    @property
    def is_learning(self) -> bool:
        """Whether proposals depend on what came before."""
        search = self.experiment.search
        return search.sampler in LEARNING_SAMPLERS and len(self.replayed_shares) < (
            search.proposal_count or 0
        )

    def index_of(self, cells: Sequence[dict[str, Any]]) -> int | None:
        """The place of a candidate on record; None where the experiment does not ask for it."""
        for cell in cells:
            name = str(cell["name"])
            if name in self.index_by_cell:
                return self.index_by_cell[name]
            kind, _, number = name.partition(" ")
            if kind == "proposal" and int(number) < (self.experiment.search.proposal_count or 0):
                return len(self.planned) + int(number)
        return None

    def round_of(self, index: int) -> int:
        """Which candidates a place is decided on with."""
        search = self.experiment.search
        if search.asynchronous:
            return index
        planned = len(self.planned)
        if index < planned:
            return index // self._planned_round_size
        return self._planned_rounds + (index - planned) // search.cohort

    def indices_of_round(self, round_index: int) -> list[int]:
        """The places of a cohort; none where there is no such cohort."""
        if self.experiment.search.asynchronous:
            return [round_index] if round_index < self.max_trials else []
        planned, sampled_round = len(self.planned), round_index - self._planned_rounds
        if sampled_round < 0:
            return list(range(planned))[round_index * self._planned_round_size :][
                : self._planned_round_size
            ]
        first_index = planned + sampled_round * self.experiment.search.cohort
        return list(
            range(first_index, min(first_index + self.experiment.search.cohort, self.max_trials))
        )

    @property
    def _planned_round_size(self) -> int:
        """How many planned candidates are decided on together: all, but for some pruners."""
        search = self.experiment.search
        return search.cohort if search.pruner in HISTORY_PRUNERS else max(1, len(self.planned))

    @property
    def _planned_rounds(self) -> int:
        return -(-len(self.planned) // self._planned_round_size)

    def propose(
        self, index: int, observations: Sequence[Observation], excluded: Collection[str]
    ) -> tuple[PlannedTrial, dict[str, Any]] | None:
        """The sampler's proposal as the nearest candidate that is not in ``seen``, and how it came
        about; None where there is none left."""
        experiment, number = self.experiment, index - len(self.planned)
        if number < len(self.replayed_shares):
            shares = self.replayed_shares[number]
        else:
            shares = proposal(experiment.search, experiment.seed, number, observations)
        requested = shares.coefficients(experiment.budget.factor)
        candidate = self.space.candidate(requested, excluded=excluded)
        if candidate is None:
            return None
        proposal_log = {
            "number": number,
            "depth_share": shares.depth,
            "width_share": shares.width,
            "resolution_share": shares.resolution,
            "known": [
                observation.candidate
                for observation in observations
                if observation.values is not None
            ],
            "in_flight": [one.candidate for one in observations if one.values is None],
        }
        return PlannedTrial(
            candidate, (DesignCell(f"proposal {number}", "searched", requested),)
        ), proposal_log
