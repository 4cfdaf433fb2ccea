"""Which candidates a search trains: the references, and the cells of a grid.

A plan is made before anything is trained. Its cells have names that do not change, so that a
search that was stopped knows what it has done.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
from scipy.spatial import KDTree

from scalesearch.analysis.design import design
from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.budget import Budget
from scalesearch.architectures.isocost import (
    Candidate,
    isocost,
    nearest_candidate,
    nominal_candidate,
)
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.experiment import LATTICE_STEP, OPTIMAL_TRIALS, SearchSpec
from scalesearch.published import CLASSIC_GRID, SCHEMES, CoefficientGrid
from scalesearch.scaling import Coefficients, Shares

FAR = 0.1
"""Distance on the simplex from which on a candidate is said to stand in for what was asked."""

FEW = 16
TIED = 1e-8
"""More than what distances may differ by that count as equal (see ``nearest_candidate``)."""

EVEN = Shares(1 / 3, 1 / 3, 1 / 3)
"""By convention, of what spends nothing: a baseline that is trained beside its scaled networks."""

NOMINAL_MESH = 24
"""Directions tried along each axis to list the distinct networks of a nominal budget."""


class StrayWarning(UserWarning):
    """A network that costs, or divides the budget, noticeably otherwise than was asked."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing asked of the search: a role and the coefficients it asks for."""

    name: str
    role: str
    asked: Coefficients

    @property
    def shares(self) -> Shares:
        """How what is asked for divides what it spends."""
        return EVEN if self.asked == Coefficients(1.0, 1.0, 1.0) else self.asked.shares


@dataclass(frozen=True, slots=True)
class Planned:
    """A candidate and the cells it stands for; the first one names it."""

    candidate: Candidate
    cells: tuple[Cell, ...]

    @property
    def role(self) -> str:
        """``searched``, a reference's name, or several, joined by ``+``."""
        return "+".join(dict.fromkeys(cell.role for cell in self.cells))

    @property
    def deviations(self) -> dict[str, float]:
        """Distance on the simplex from each cell's shares to the candidate's."""
        return {c.name: c.shares.distance(self.candidate.shares) for c in self.cells}


@dataclass(frozen=True)
class Space:
    """Where candidates come from: the iso-cost set, or whatever nominal coefficients give.

    ``closed``: the candidates are all there are, also where the budget is nominal."""

    baseline: Architecture | Foreign
    budget: Budget
    candidates: tuple[Candidate, ...] = field(repr=False)
    closed: bool = False

    def candidate(self, asked: Coefficients, without: Collection[str] = ()) -> Candidate | None:
        """The candidate for these coefficients that is not in ``without`` (fingerprints).

        Realised: the nearest on the simplex. Nominal: the very network that the coefficients give,
        and the nearest new one where it is not new. None where all are in ``without``.
        """
        if self.budget.mode == "nominal" and not self.closed:
            exact = _given(self.baseline, asked, self.budget)
            if exact is not None and exact.fingerprint not in without:
                return exact
        return nearest_candidate(self._nearby(asked.shares, without), asked.shares, without)

    def _nearby(self, shares: Shares, without: Collection[str]) -> Sequence[Candidate]:
        """Few candidates, of which the nearest that is left is one: to measure ten thousand one by
        one, for each proposal, takes longer than all else that the driver does."""
        count = FEW
        while count < len(self.candidates):
            found = np.array(self._tree.query(shares.as_tuple(), k=count))
            near = [self.candidates[int(place)] for place in found[1]]
            reach = found[0, -1] - TIED  # farther out are more that count as equal
            if any(
                distance < reach and candidate.fingerprint not in without
                for distance, candidate in zip(found[0], near, strict=True)
            ):
                return near
            count *= 8
        return self.candidates

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree([candidate.shares.as_tuple() for candidate in self.candidates])


def space(baseline: Architecture | Foreign, budget: Budget) -> Space:
    """The candidates of a budget. Raises ArchitectureError where there is none."""
    if budget.mode == "realised":
        return Space(baseline, budget, isocost(baseline, budget))
    budget.spent(baseline)  # what cannot be counted at all is refused here, and not passed over
    directions = (cell.asked for cell in lattice(NOMINAL_MESH, budget.factor))
    given = (_given(baseline, asked, budget) for asked in directions)
    found = {candidate.fingerprint: candidate for candidate in given if candidate is not None}
    if not found:
        raise ArchitectureError(
            f"budget: under rounding {budget.rounding_name!r} no coefficients of factor "
            f"{budget.factor:g} change this baseline; take a larger factor"
        )
    return Space(baseline, budget, tuple(found.values()))


def within(where: Space, asked: Mapping[str, Coefficients]) -> Space:
    """The candidates of these fingerprints alone, for each of which it is known what was asked."""
    found = {one.fingerprint: one for one in where.candidates if one.fingerprint in asked}
    if where.budget.mode == "nominal":  # of which not all networks are listed
        given = (_given(where.baseline, each, where.budget) for each in asked.values())
        found |= {one.fingerprint: one for one in given if one and one.fingerprint in asked}
    return Space(where.baseline, where.budget, tuple(found.values()), closed=True)


def _given(
    baseline: Architecture | Foreign, asked: Coefficients, budget: Budget
) -> Candidate | None:
    """What nominal coefficients give, or None where rounding takes them back to the baseline."""
    try:
        return nominal_candidate(baseline, asked.at(1.0), budget)
    except ArchitectureError:
        return None


def lattice(step: int, factor: float) -> Iterator[Cell]:
    """All shares that are multiples of 1/step: (step + 1)(step + 2)/2 cells, corners included."""
    for depth, width in product(range(step + 1), repeat=2):
        if (resolution := step - depth - width) >= 0:
            shares = Shares(depth / step, width / step, resolution / step)
            name = f"lattice {depth}-{width}-{resolution} of {step}"
            yield Cell(name, "searched", shares.coefficients(factor))


def cartesian(search: SearchSpec, factor: float) -> Iterator[Cell]:
    """The classic grid: coefficients ``step`` apart whose product is near the factor."""
    step = search.step or CLASSIC_GRID.step
    grid = CoefficientGrid(search.alpha, search.beta, search.gamma, step, search.product_tolerance)
    for asked in grid.coefficients(factor):
        name = f"cartesian {asked.alpha:g} {asked.beta:g} {asked.gamma:g}"
        yield Cell(name, "searched", asked)


def references(names: Sequence[str], factor: float) -> Iterator[Cell]:
    """The schemes every search is compared with."""
    for name in names:
        yield Cell(f"reference {name}", name, SCHEMES[name].coefficients(factor))


def plan(search: SearchSpec, where: Space) -> tuple[Planned, ...]:
    """Everything that is known before training: the references, then a grid's or a design's cells.

    A lattice cell takes the nearest candidate that no other cell has taken; a reference shares a
    candidate with whatever asks for the same one. Cells of the classic grid that are one network
    are one candidate. Raises SearchError where a grid has no cell.
    """
    factor = where.budget.factor
    planned: dict[str, Planned] = {}
    for cell in references(search.references, factor):
        assigned(planned, where.candidate(cell.asked), cell)
    if search.sampler == "lattice":
        _add_lattice(planned, search, where)
    elif search.sampler == "optimal":
        _add_optimal(planned, search, where)
    elif search.sampler == "cartesian":
        _add_cartesian(planned, search, where)
    _warn_of_strays(planned.values(), where.budget)
    return tuple(planned.values())


def _add_lattice(planned: dict[str, Planned], search: SearchSpec, where: Space) -> None:
    taken: set[str] = set()
    for cell in list(lattice(int(search.step or LATTICE_STEP), where.budget.factor))[
        : search.trials
    ]:
        candidate = where.candidate(cell.asked, without=taken)
        if candidate is not None:
            taken.add(candidate.fingerprint)
            assigned(planned, candidate, cell)


def _add_optimal(planned: dict[str, Planned], search: SearchSpec, where: Space) -> None:
    """The candidates that, with the references, determine the surface best."""
    every = {item.candidate.fingerprint: item.candidate for item in planned.values()}
    given = len(every)
    every |= {one.fingerprint: one for one in where.candidates if one.fingerprint not in every}
    candidates = list(every.values())
    shares = np.array([one.shares.as_tuple() for one in candidates])
    count = search.trials or OPTIMAL_TRIALS
    for number, place in enumerate(design(shares, count, given=range(given))):
        candidate = candidates[place]
        asked = candidate.shares.coefficients(where.budget.factor)
        cell = Cell(f"optimal {number} of {count}", "searched", asked)
        assigned(planned, candidate, cell)


def _add_cartesian(planned: dict[str, Planned], search: SearchSpec, where: Space) -> None:
    factor = where.budget.factor
    cells = list(cartesian(search, factor))
    if not cells:
        raise SearchError(
            f"search: no cell of the grid has |alpha * beta^2 * gamma^2 - {factor:g}| <= "
            f"{search.product_tolerance:g}; widen product_tolerance or the ranges"
        )
    searched: set[str] = set()
    for cell in cells:
        candidate = where.candidate(cell.asked)
        if candidate is None:
            continue
        full = search.trials is not None and len(searched) >= search.trials
        if candidate.fingerprint in searched or not full:
            searched.add(candidate.fingerprint)
            assigned(planned, candidate, cell)


def assigned(planned: dict[str, Planned], candidate: Candidate | None, cell: Cell) -> None:
    """Add a cell to the candidate that it is trained as, if there is one."""
    if candidate is None:
        return
    held = planned.get(candidate.fingerprint, Planned(candidate, ()))
    planned[candidate.fingerprint] = replace(held, cells=(*held.cells, cell))


def _warn_of_strays(planned: Collection[Planned], budget: Budget) -> None:
    for item in planned:
        for cell in item.cells:
            far = item.deviations[cell.name]
            if budget.mode == "realised" and cell.role != "searched" and far > FAR:
                warnings.warn(
                    f"reference {cell.role}: no candidate within {FAR} of it; the nearest divides "
                    f"the budget {_percent(item.candidate.shares)} (distance {far:.2f})",
                    StrayWarning,
                    stacklevel=3,
                )
    factors = [item.candidate.factor for item in planned]
    if budget.mode == "nominal" and not all(map(budget.meets, factors)):
        stray = sum(not budget.meets(factor) for factor in factors)
        warnings.warn(
            f"nominal budget: {stray} of {len(factors)} networks cost other than "
            f"{budget.factor:g}x +-{budget.tolerance:.0%}, from {min(factors):.2f}x to "
            f"{max(factors):.2f}x; they are not compute-matched (mode: realised makes them so)",
            StrayWarning,
            stacklevel=3,
        )


def _percent(shares: Shares) -> str:
    return f"{shares.depth:.0%} depth, {shares.width:.0%} width, {shares.resolution:.0%} resolution"
