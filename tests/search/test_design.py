"""What is trained is known, and named, before anything is trained."""

import warnings

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.optimal_design import mean_prediction_variance, reachable_lattice
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.candidates.budget import Budget
from scalesearch.config.search_spec import SearchSpec
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.search.design import (
    OffTargetWarning,
    cartesian_cells,
    lattice_cells,
    planned_trials,
    reference_cells,
    search_space,
)

PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)


@pytest.fixture(scope="module")
def realised():
    return search_space(PROXY, Budget())


def test_a_lattice_has_every_share_that_is_a_multiple_of_its_step():
    cells = list(lattice_cells(4, 2.0))
    assert len(cells) == 15
    assert len({cell.name for cell in cells}) == 15
    for cell in cells:
        assert cell.requested.factor == pytest.approx(2.0)
        assert all(
            abs(4 * share - round(4 * share)) < 1e-9 for share in cell.requested.shares.as_tuple()
        )


def test_the_classic_grid_keeps_the_cells_near_the_factor():
    search = SearchSpec(sampler="cartesian")
    requested = [cell.requested for cell in cartesian_cells(search, 2.0)]
    assert Coefficients(1.2, 1.1, 1.15) in requested
    assert all(abs(coefficients.factor - 2.0) <= 0.1 + 1e-9 for coefficients in requested)
    everywhere = cartesian_cells(SearchSpec(sampler="cartesian", product_tolerance=100), 2.0)
    assert len(list(everywhere)) == 21 * 11 * 11


def test_a_grid_without_cells_is_refused():
    narrow = SearchSpec(sampler="cartesian", alpha=(1, 1), beta=(1, 1), gamma=(1, 1))
    with refused(SearchError):
        planned_trials(narrow, search_space(PROXY, Budget()))


def test_a_lattice_trains_each_network_once_and_references_share_its_corners(realised):
    planned = planned_trials(SearchSpec(sampler="lattice", step=4), realised)
    fingerprints = [trial.candidate.fingerprint for trial in planned]
    assert len(set(fingerprints)) == len(fingerprints)
    searched = [trial for trial in planned if "searched" in trial.role.split("+")]
    assert len(searched) == 15
    roles = {trial.role for trial in planned}
    assert {"depth+searched", "width+searched", "resolution+searched"} <= roles
    corner = next(trial for trial in planned if trial.role == "depth+searched")
    assert corner.candidate.shares.distance(Shares(1, 0, 0)) < 1e-9


@pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
def test_with_few_candidates_each_lattice_cell_takes_its_own():
    poor = efficientnet_b0(width=0.25, resolution=16, stem_stride=1, num_classes=10)
    space = search_space(poor, Budget())
    cells = list(lattice_cells(4, 2.0))
    assert len({space.candidate(cell.requested).fingerprint for cell in cells}) < len(cells)
    planned = planned_trials(SearchSpec(sampler="lattice", step=4), space)
    assert sum("searched" in trial.role.split("+") for trial in planned) == len(cells)


def test_an_optimal_plan_has_new_networks_that_determine_the_surface_better_than_a_lattice(
    realised,
):
    optimal_plan, lattice_plan = (
        planned_trials(SearchSpec(sampler=sampler, **options), realised)
        for sampler, options in (("optimal", {}), ("lattice", {"step": 4}))
    )
    assert len(optimal_plan) == len(lattice_plan) == 17
    assert len({trial.candidate.fingerprint for trial in optimal_plan}) == 17
    searched = [
        cell.name for trial in optimal_plan for cell in trial.cells if cell.role == "searched"
    ]
    assert searched == [f"optimal {number} of 12" for number in range(12)]
    assert all(
        planned.deviations[plan_cell.name] < 1e-9
        for planned in optimal_plan
        for plan_cell in planned.cells
        if plan_cell.role == "searched"
    )
    shares = [
        np.array([planned.candidate.shares.as_tuple() for planned in plan])
        for plan in (optimal_plan, lattice_plan)
    ]
    reachable_shares = reachable_lattice(
        np.array([plan_shares.shares.as_tuple() for plan_shares in realised.candidates])
    )
    variances = [mean_prediction_variance(plan_shares, reachable_shares) for plan_shares in shares]
    assert variances[0] < 0.95 * variances[1]
    assert planned_trials(SearchSpec(sampler="optimal"), realised) == optimal_plan


def test_an_optimal_plan_has_the_requested_size_and_omits_a_stuck_axis():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = search_space(efficientnet_b0(resolution=32), Budget())
        planned = planned_trials(SearchSpec(sampler="optimal", trials=7, references=()), space)
    assert len(planned) == 7
    assert all(trial.candidate.shares.resolution < 0.02 for trial in planned)
    assert {trial.role for trial in planned} == {"searched"}


def test_every_planned_network_is_within_the_tolerance(realised):
    for trial in planned_trials(SearchSpec(sampler="lattice", step=5), realised):
        assert abs(trial.candidate.factor / 2 - 1) <= 0.02


def test_a_plan_is_the_same_every_time(realised):
    search = SearchSpec(sampler="lattice", step=4)
    assert planned_trials(search, realised) == planned_trials(search, realised)


def test_cells_of_the_classic_grid_that_are_one_network_are_one_candidate():
    budget = Budget(mode="nominal", rounding="official")
    search = SearchSpec(sampler="cartesian")
    with pytest.warns(OffTargetWarning, match="not compute-matched"):
        planned = planned_trials(search, search_space(PROXY, budget))
    cells = [cell.name for trial in planned for cell in trial.cells if cell.role == "searched"]
    assert len(cells) == len(set(cells)) == len(list(cartesian_cells(search, 2.0)))
    assert len(planned) < len(cells)


def test_nominal_references_are_what_the_coefficients_give():
    space = search_space(efficientnet_b0(), Budget(mode="nominal", rounding="official"))
    with pytest.warns(OffTargetWarning):
        planned = planned_trials(SearchSpec(sampler="tpe"), space)
    paper = next(trial for trial in planned if "paper" in trial.role)
    assert paper.candidate.factor == pytest.approx(2.57, abs=0.01)
    assert paper.candidate.architecture.resolution == round(224 * 1.15)


def test_a_reference_that_the_baseline_cannot_realise_is_flagged():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = search_space(efficientnet_b0(resolution=32), Budget())
    with pytest.warns(OffTargetWarning, match=r"reference resolution: no candidate within 0\.1"):
        planned_trials(SearchSpec(sampler="tpe", references=("resolution",)), space)


def test_the_paper_keeps_its_direction_under_another_factor():
    two, four = (next(reference_cells(["paper"], factor)).requested for factor in (2.0, 4.0))
    assert two == Coefficients(1.2, 1.1, 1.15)
    assert four.factor == pytest.approx(4.0)
    assert four.shares.distance(two.shares) < 1e-9


def test_trials_cut_a_grid_short(realised):
    planned = planned_trials(SearchSpec(sampler="lattice", step=4, trials=3), realised)
    assert sum("searched" in trial.role for trial in planned) == 3


def test_trials_of_a_grid_do_not_count_the_references(realised):
    planned = planned_trials(SearchSpec(sampler="cartesian", trials=3), realised)
    assert sum("searched" in trial.role.split("+") for trial in planned) == 3


def test_coefficients_that_rounding_undoes_are_no_candidates():
    space = search_space(PROXY, Budget(mode="nominal", rounding="official", factor=1.1))
    assert space.candidates
    assert space.candidate(Coefficients(1.0, 1.001, 1.0)) in space.candidates


def test_a_nominal_space_proposes_the_nearest_new_network_when_its_own_is_taken():
    space = search_space(PROXY, Budget(mode="nominal", rounding="official"))
    requested = Coefficients(1.2, 1.1, 1.15)
    first = space.candidate(requested)
    second = space.candidate(requested, excluded={first.fingerprint})
    assert second.fingerprint != first.fingerprint
    assert (
        space.candidate(
            requested,
            excluded={candidate.fingerprint for candidate in space.candidates}
            | {first.fingerprint},
        )
        is None
    )
