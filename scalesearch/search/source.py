"""Where candidates come from: the plan, then what a sampler proposes, in cohorts.

A candidate has a place, its number in that order, and it keeps it whatever happens to the search.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scalesearch.experiment import Experiment
from scalesearch.scaling import Shares
from scalesearch.search.plan import Cell, Planned, Space
from scalesearch.search.proposals import LEARNING, Known, proposal

PRUNED_BY_OTHERS = ("median", "hyperband")
"""Pruners that compare a candidate with those that ended before it, so that a plan is trained in
cohorts under them."""


@dataclass(frozen=True)
class Source:
    """The candidates of an experiment. ``replayed``: shares that are proposed in place of the
    sampler's own, from the log of another run."""

    experiment: Experiment
    where: Space
    planned: tuple[Planned, ...]
    replayed: tuple[Shares, ...] = field(default=(), repr=False)

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each planned cell, by its name."""
        named = ((c.name, place) for place, item in enumerate(self.planned) for c in item.cells)
        return dict(named)

    @property
    def most(self) -> int:
        """How many candidates there are at most."""
        return len(self.planned) + (self.experiment.search.asks or 0)

    @property
    def learns(self) -> bool:
        """Whether proposals depend on what came before."""
        search = self.experiment.search
        return search.sampler in LEARNING and len(self.replayed) < (search.asks or 0)

    def place(self, cells: Sequence[dict[str, Any]]) -> int | None:
        """The place of a candidate on record; None where the experiment does not ask for it."""
        for cell in cells:
            name = str(cell["name"])
            if name in self.places:
                return self.places[name]
            kind, _, number = name.partition(" ")
            if kind == "proposal" and int(number) < (self.experiment.search.asks or 0):
                return len(self.planned) + int(number)
        return None

    def cohort(self, place: int) -> int:
        """Which candidates a place is decided on with."""
        search = self.experiment.search
        if search.asynchronous:
            return place
        planned = len(self.planned)
        if place < planned:
            return place // self._at_once
        return self._cohorts_planned + (place - planned) // search.cohort

    def members(self, cohort: int) -> list[int]:
        """The places of a cohort; none where there is no such cohort."""
        if self.experiment.search.asynchronous:
            return [cohort] if cohort < self.most else []
        planned, later = len(self.planned), cohort - self._cohorts_planned
        if later < 0:
            return list(range(planned))[cohort * self._at_once :][: self._at_once]
        first = planned + later * self.experiment.search.cohort
        return list(range(first, min(first + self.experiment.search.cohort, self.most)))

    @property
    def _at_once(self) -> int:
        """How many planned candidates are decided on together: all, but for some pruners."""
        search = self.experiment.search
        return search.cohort if search.pruner in PRUNED_BY_OTHERS else max(1, len(self.planned))

    @property
    def _cohorts_planned(self) -> int:
        return -(-len(self.planned) // self._at_once)

    def proposed(
        self, place: int, known: Sequence[Known], seen: Collection[str]
    ) -> tuple[Planned, dict[str, Any]] | None:
        """The sampler's proposal as the nearest candidate that is not in ``seen``, and how it came
        about; None where there is none left."""
        experiment, number = self.experiment, place - len(self.planned)
        if number < len(self.replayed):
            shares = self.replayed[number]
        else:
            shares = proposal(experiment.search, experiment.seed, number, known)
        asked = shares.coefficients(experiment.budget.factor)
        candidate = self.where.candidate(asked, without=seen)
        if candidate is None:
            return None
        log = {
            "number": number,
            "depth_share": shares.depth,
            "width_share": shares.width,
            "resolution_share": shares.resolution,
            "known": [one.candidate for one in known if one.values is not None],
            "in_flight": [one.candidate for one in known if one.values is None],
        }
        return Planned(candidate, (Cell(f"proposal {number}", "searched", asked),)), log
