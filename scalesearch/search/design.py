"""The planned trials of a search: references, and cells of a grid or design.

The plan is made before anything is trained. Its cells have fixed names, so that an interrupted
search can be resumed.
"""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
from scipy.spatial import KDTree

from scalesearch.analysis.optimal_design import i_optimal_design
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.iso_cost import (
    Candidate,
    iso_cost_set,
    nearest_candidate,
    nominal_candidate,
)
from scalesearch.config.search_spec import LATTICE_STEP, OPTIMAL_TRIALS, SearchSpec
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.scaling.published import CLASSIC_GRID, SCHEMES, CoefficientGrid

FAR_DISTANCE = 0.1
"""Distance on the simplex above which a warning says that the candidate differs."""

FIRST_NEIGHBOURS = 16
DISTANCE_TOLERANCE = 1e-8
"""Slack for distances that count as equal; larger than that of ``nearest_candidate``."""

EVEN_SHARES = Shares(1 / 3, 1 / 3, 1 / 3)
"""Shares of the baseline itself, which spends no budget; a convention."""

NOMINAL_MESH = 24
"""Lattice step with which the distinct networks of a nominal budget are listed."""


class OffTargetWarning(UserWarning):
    """Warning about a network whose cost or direction differs from the request."""


@dataclass(frozen=True, slots=True)
class DesignCell:
    """A requested direction of the search, with a name and a role."""

    name: str
    role: str
    requested: Coefficients

    @property
    def shares(self) -> Shares:
        """Shares of the requested coefficients."""
        return (
            EVEN_SHARES if self.requested == Coefficients(1.0, 1.0, 1.0) else self.requested.shares
        )


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A candidate and the cells it stands for; the first cell names it."""

    candidate: Candidate
    cells: tuple[DesignCell, ...]

    @property
    def role(self) -> str:
        """Distinct roles (``searched`` or a reference's name), joined by ``+``."""
        return "+".join(dict.fromkeys(cell.role for cell in self.cells))

    @property
    def deviations(self) -> dict[str, float]:
        """Distance on the simplex from each cell's shares to the candidate's."""
        return {c.name: c.shares.distance(self.candidate.shares) for c in self.cells}


@dataclass(frozen=True)
class SearchSpace:
    """The candidates of a search: the iso-cost set, or nominal networks."""

    baseline: Architecture | CustomModel
    budget: Budget
    candidates: tuple[Candidate, ...] = field(repr=False)
    is_exhaustive: bool = False
    """True if ``candidates`` lists all networks, also with a nominal budget."""

    def candidate(
        self, requested: Coefficients, excluded: Collection[str] = ()
    ) -> Candidate | None:
        """Find the candidate for these coefficients that is not excluded.

        With a realised budget this is the nearest one on the simplex. With a nominal budget it is
        the network that the coefficients give, or the nearest one if that network is excluded.
        ``excluded`` has fingerprints; returns None if it contains all candidates.
        """
        if self.budget.mode == "nominal" and not self.is_exhaustive:
            nominal = _nominal_candidate(self.baseline, requested, self.budget)
            if nominal is not None and nominal.fingerprint not in excluded:
                return nominal
        return nearest_candidate(
            self._nearest_few(requested.shares, excluded), requested.shares, excluded
        )

    def _nearest_few(self, shares: Shares, excluded: Collection[str]) -> Sequence[Candidate]:
        """Return a few candidates that include the nearest one that is not excluded.

        Measuring the distance to ten thousand candidates for each proposal would take longer than
        everything else that the driver does.
        """
        count = FIRST_NEIGHBOURS
        while count < len(self.candidates):
            distances_and_positions = np.array(self._tree.query(shares.as_tuple(), k=count))
            neighbours = [self.candidates[int(position)] for position in distances_and_positions[1]]
            # Beyond this distance there may be other candidates that count as equal.
            max_distance = distances_and_positions[0, -1] - DISTANCE_TOLERANCE
            if any(
                distance < max_distance and candidate.fingerprint not in excluded
                for distance, candidate in zip(distances_and_positions[0], neighbours, strict=True)
            ):
                return neighbours
            count *= 8
        return self.candidates

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree([candidate.shares.as_tuple() for candidate in self.candidates])


def search_space(baseline: Architecture | CustomModel, budget: Budget) -> SearchSpace:
    """List the candidates of a budget. Raises ArchitectureError if there is none."""
    if budget.mode == "realised":
        return SearchSpace(baseline, budget, iso_cost_set(baseline, budget))
    budget.cost_of(baseline)  # raises for a baseline whose cost cannot be counted
    directions = (cell.requested for cell in lattice_cells(NOMINAL_MESH, budget.factor))
    candidates = (_nominal_candidate(baseline, requested, budget) for requested in directions)
    candidates_by_fingerprint = {
        candidate.fingerprint: candidate for candidate in candidates if candidate is not None
    }
    if not candidates_by_fingerprint:
        raise ArchitectureError(
            f"budget: with rounding {budget.rounding_name!r} no coefficients of factor "
            f"{budget.factor:g} change this baseline; use a larger factor"
        )
    return SearchSpace(baseline, budget, tuple(candidates_by_fingerprint.values()))


def subspace(space: SearchSpace, requested: Mapping[str, Coefficients]) -> SearchSpace:
    """Restrict a space to fingerprints, with the coefficients requested for each."""
    candidates_by_fingerprint = {
        candidate.fingerprint: candidate
        for candidate in space.candidates
        if candidate.fingerprint in requested
    }
    if space.budget.mode == "nominal":  # the space does not list all its networks
        candidates = (
            _nominal_candidate(space.baseline, coefficients, space.budget)
            for coefficients in requested.values()
        )
        candidates_by_fingerprint |= {
            candidate.fingerprint: candidate
            for candidate in candidates
            if candidate and candidate.fingerprint in requested
        }
    return SearchSpace(
        space.baseline, space.budget, tuple(candidates_by_fingerprint.values()), is_exhaustive=True
    )


def _nominal_candidate(
    baseline: Architecture | CustomModel, requested: Coefficients, budget: Budget
) -> Candidate | None:
    """Return the network of nominal coefficients, or None if it is the baseline."""
    try:
        return nominal_candidate(baseline, requested.at(1.0), budget)
    except ArchitectureError:
        return None


def lattice_cells(step: int, factor: float) -> Iterator[DesignCell]:
    """Yield all shares that are multiples of 1/step: (step + 1)(step + 2)/2 cells."""
    for depth, width in product(range(step + 1), repeat=2):
        if (resolution := step - depth - width) >= 0:
            shares = Shares(depth / step, width / step, resolution / step)
            name = f"lattice {depth}-{width}-{resolution} of {step}"
            yield DesignCell(name, "searched", shares.coefficients(factor))


def cartesian_cells(search: SearchSpec, factor: float) -> Iterator[DesignCell]:
    """Yield the classic grid: coefficients whose product is near the factor."""
    step = search.step or CLASSIC_GRID.step
    grid = CoefficientGrid(search.alpha, search.beta, search.gamma, step, search.product_tolerance)
    for coefficients in grid.coefficients(factor):
        name = f"cartesian {coefficients.alpha:g} {coefficients.beta:g} {coefficients.gamma:g}"
        yield DesignCell(name, "searched", coefficients)


def reference_cells(names: Sequence[str], factor: float) -> Iterator[DesignCell]:
    """Yield the cells of the reference schemes."""
    for name in names:
        yield DesignCell(f"reference {name}", name, SCHEMES[name].coefficients(factor))


def planned_trials(search: SearchSpec, space: SearchSpace) -> tuple[PlannedTrial, ...]:
    """Plan the trials known before training: references, then a grid or design.

    A lattice cell takes the nearest candidate that no other lattice cell has; references share
    candidates with other cells, and cells of the classic grid with the same network share one.
    Raises SearchError if the grid has no cell.
    """
    factor = space.budget.factor
    planned: dict[str, PlannedTrial] = {}
    for cell in reference_cells(search.references, factor):
        add_cell(planned, space.candidate(cell.requested), cell)
    if search.sampler == "lattice":
        _add_lattice(planned, search, space)
    elif search.sampler == "optimal":
        _add_optimal(planned, search, space)
    elif search.sampler == "cartesian":
        _add_cartesian(planned, search, space)
    _warn_if_off_target(planned.values(), space.budget)
    return tuple(planned.values())


def _add_lattice(planned: dict[str, PlannedTrial], search: SearchSpec, space: SearchSpace) -> None:
    taken_fingerprints: set[str] = set()
    for cell in list(lattice_cells(int(search.step or LATTICE_STEP), space.budget.factor))[
        : search.trials
    ]:
        candidate = space.candidate(cell.requested, excluded=taken_fingerprints)
        if candidate is not None:
            taken_fingerprints.add(candidate.fingerprint)
            add_cell(planned, candidate, cell)


def _add_optimal(planned: dict[str, PlannedTrial], search: SearchSpec, space: SearchSpace) -> None:
    """Add the candidates that, with the references, determine the surface best."""
    candidates_by_fingerprint = {
        trial.candidate.fingerprint: trial.candidate for trial in planned.values()
    }
    fixed_count = len(candidates_by_fingerprint)
    candidates_by_fingerprint |= {
        candidate.fingerprint: candidate
        for candidate in space.candidates
        if candidate.fingerprint not in candidates_by_fingerprint
    }
    candidates = list(candidates_by_fingerprint.values())
    shares = np.array([candidate.shares.as_tuple() for candidate in candidates])
    count = search.trials or OPTIMAL_TRIALS
    for number, position in enumerate(i_optimal_design(shares, count, included=range(fixed_count))):
        candidate = candidates[position]
        coefficients = candidate.shares.coefficients(space.budget.factor)
        cell = DesignCell(f"optimal {number} of {count}", "searched", coefficients)
        add_cell(planned, candidate, cell)


def _add_cartesian(
    planned: dict[str, PlannedTrial], search: SearchSpec, space: SearchSpace
) -> None:
    factor = space.budget.factor
    cells = list(cartesian_cells(search, factor))
    if not cells:
        raise SearchError(
            f"search: no cell of the grid has |alpha * beta^2 * gamma^2 - {factor:g}| <= "
            f"{search.product_tolerance:g}; widen product_tolerance or the ranges"
        )
    searched_fingerprints: set[str] = set()
    for cell in cells:
        candidate = space.candidate(cell.requested)
        if candidate is None:
            continue
        is_full = search.trials is not None and len(searched_fingerprints) >= search.trials
        if candidate.fingerprint in searched_fingerprints or not is_full:
            searched_fingerprints.add(candidate.fingerprint)
            add_cell(planned, candidate, cell)


def add_cell(
    planned: dict[str, PlannedTrial], candidate: Candidate | None, cell: DesignCell
) -> None:
    """Add a cell to the planned trial of its candidate, if there is one."""
    if candidate is None:
        return
    trial = planned.get(candidate.fingerprint, PlannedTrial(candidate, ()))
    planned[candidate.fingerprint] = replace(trial, cells=(*trial.cells, cell))


def _warn_if_off_target(planned: Collection[PlannedTrial], budget: Budget) -> None:
    for trial in planned:
        for cell in trial.cells:
            distance = trial.deviations[cell.name]
            if budget.mode == "realised" and cell.role != "searched" and distance > FAR_DISTANCE:
                warnings.warn(
                    f"reference {cell.role}: no candidate within {FAR_DISTANCE} of it; the nearest "
                    f"has shares {_format_shares(trial.candidate.shares)} "
                    f"(distance {distance:.2f})",
                    OffTargetWarning,
                    stacklevel=3,
                )
    factors = [trial.candidate.factor for trial in planned]
    if budget.mode == "nominal" and not all(map(budget.is_met_by, factors)):
        off_target_count = sum(not budget.is_met_by(factor) for factor in factors)
        warnings.warn(
            f"nominal budget: {off_target_count} of {len(factors)} networks do not cost "
            f"{budget.factor:g}x +-{budget.tolerance:.0%}, but from {min(factors):.2f}x to "
            f"{max(factors):.2f}x; they are not compute-matched (mode: realised makes them so)",
            OffTargetWarning,
            stacklevel=3,
        )


def _format_shares(shares: Shares) -> str:
    return f"{shares.depth:.0%} depth, {shares.width:.0%} width, {shares.resolution:.0%} resolution"
