"""The candidates of a search: the plan, then the sampler's proposals in rounds.

A candidate's index in this order never changes, whatever happens to the search.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

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
from scalesearch.results.records import share_columns
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.search.design import (
    EVEN_SHARES,
    DesignCell,
    PlannedTrial,
    SearchSpace,
    add_cell,
    planned_trials,
    search_space,
)
from scalesearch.search.results_writer import read_proposed_shares
from scalesearch.search.samplers import LEARNING_SAMPLERS, Observation, proposal


def trials_of_points(
    points: Sequence[PointSpec], baseline: Architecture | CustomModel, budget: Budget
) -> tuple[SearchSpace, tuple[PlannedTrial, ...]]:
    """Plan a trial for each listed point, in their order.

    Points with the same network are one candidate with several cells. Raises SearchError for a
    point that names no network, ArchitectureError for one that no network fits.
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
    except ArchitectureError:  # rounding gives the baseline
        candidate = _baseline_candidate(baseline)
    return candidate, Coefficients(*point.multipliers)


def _baseline_candidate(baseline: Architecture | CustomModel) -> Candidate:
    """Make a candidate of the baseline itself, which spends no budget."""
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
        examples = ", ".join(match.fingerprint for match in matches[:3]) or "none"
        raise SearchError(
            f"search.points: {point.name}: need the fingerprint of one of the budget's "
            f"{len(candidates)} networks, got {point.candidate!r}; networks that start with "
            f"this: {examples}"
        )
    return matches[0]


HISTORY_PRUNERS = ("median", "hyperband")
"""Pruners that compare a candidate with earlier ones; with them the plan is trained in rounds."""


@dataclass(frozen=True)
class CandidateSource:
    """The candidates of an experiment."""

    experiment: Experiment
    space: SearchSpace
    planned: tuple[PlannedTrial, ...]
    replayed_shares: tuple[Shares, ...] = field(default=(), repr=False)
    """Proposals from the log of another run, used instead of the sampler's."""

    @classmethod
    def from_experiment(
        cls, experiment: Experiment, data: dict[str, Any], replay: str | Path | None = None
    ) -> Self:
        """Return the candidates of an experiment. Raises ArchitectureError or SearchError.

        ``data``: facts about the images. ``replay``: folder of a search, for its proposals.
        """
        _require_data_fits_baseline(experiment, data)
        data_sizes = {"in_channels": data["channels"], "num_classes": len(data["classes"])}
        baseline, search = experiment.baseline.build_architecture(**data_sizes), experiment.search
        if search.sampler == "points":
            space, planned = trials_of_points(search.points, baseline, experiment.budget)
        else:
            space = search_space(baseline, experiment.budget)
            planned = planned_trials(search, space)
        return cls(experiment, space, planned, read_proposed_shares(replay) if replay else ())

    @cached_property
    def index_by_cell(self) -> dict[str, int]:
        """Index of the planned trial of each cell, by the cell's name."""
        index_by_name = (
            (cell.name, index) for index, trial in enumerate(self.planned) for cell in trial.cells
        )
        return dict(index_by_name)

    @property
    def max_trials(self) -> int:
        """Maximum number of candidates."""
        return len(self.planned) + (self.experiment.search.proposal_count or 0)

    @property
    def is_learning(self) -> bool:
        """True if proposals depend on earlier trials."""
        search = self.experiment.search
        return search.sampler in LEARNING_SAMPLERS and len(self.replayed_shares) < (
            search.proposal_count or 0
        )

    def index_of(self, cells: Sequence[dict[str, Any]]) -> int | None:
        """Find a recorded trial's index by its cells; None if not in the experiment."""
        for cell in cells:
            name = str(cell["name"])
            if name in self.index_by_cell:
                return self.index_by_cell[name]
            kind, _, number = name.partition(" ")
            if kind == "proposal" and int(number) < (self.experiment.search.proposal_count or 0):
                return len(self.planned) + int(number)
        return None

    def round_of(self, index: int) -> int:
        """Return the round of a candidate; a round is compared within itself."""
        search = self.experiment.search
        if search.asynchronous:
            return index
        planned = len(self.planned)
        if index < planned:
            return index // self._planned_round_size
        return self._planned_rounds + (index - planned) // search.cohort

    def indices_of_round(self, round_index: int) -> list[int]:
        """List the candidates of a round; empty after the last round."""
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
        """Number of planned candidates in a round: all, except with ``HISTORY_PRUNERS``."""
        search = self.experiment.search
        return search.cohort if search.pruner in HISTORY_PRUNERS else max(1, len(self.planned))

    @property
    def _planned_rounds(self) -> int:
        return -(-len(self.planned) // self._planned_round_size)

    def propose(
        self, index: int, observations: Sequence[Observation], excluded: Collection[str]
    ) -> tuple[PlannedTrial, dict[str, Any]] | None:
        """Propose the nearest candidate to the sampler's shares that is not excluded.

        Returns it with the log of the proposal, or None if no candidate is left.
        """
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
            **share_columns(shares),
            "known": [
                observation.candidate
                for observation in observations
                if observation.values is not None
            ],
            "in_flight": [
                observation.candidate for observation in observations if observation.values is None
            ],
        }
        cell = DesignCell(f"proposal {number}", "searched", requested)
        return PlannedTrial(candidate, (cell,)), proposal_log


def _require_data_fits_baseline(experiment: Experiment, data: dict[str, Any]) -> None:
    """Refuse a baseline whose channels or classes are not those of the images."""
    baseline = experiment.baseline
    for key, requested, actual in (
        ("in_channels", baseline.in_channels, data["channels"]),
        ("num_classes", baseline.num_classes, len(data["classes"])),
    ):
        if requested not in (None, actual):
            raise SearchError(
                f"baseline.{key}: need {actual} as in the data, got {requested}; leave it out to "
                "follow the data"
            )
