"""Response models: exact for polynomials, and chosen by their predictions."""

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.polynomials import (
    DEGREES,
    polynomial_fits,
    polynomial_terms,
    simplex_argmax,
    simplex_lattice,
)
from scalesearch.analysis.response_model import (
    GAUSSIAN_PROCESS,
    fit_response_model,
    gaussian_process,
    lack_of_fit_test,
)
from scalesearch.errors import SearchError


def of(simulated, seed=0, **case):
    case = {"accuracy": simulated.hill(0.3, 0.3), **case}
    return simulated.records(simulated.Case(**case), np.random.default_rng(seed))


def test_a_polynomial_is_found_again_where_there_is_no_noise(simulated):
    truth = simulated.hill(0.3, 0.3)
    found = polynomial_fits(candidate_estimates(of(simulated, noise=0.0)))
    mean, error = found["quadratic"].predict(simplex_lattice())
    offset = mean - truth(simplex_lattice())
    assert np.ptp(offset) < 1e-9  # the seeds' mean
    assert error.max() < 1e-4
    assert found["linear"].error > 1e-3


def test_the_polynomials_are_scheffes():
    place = np.array([[0.2, 0.3, 0.5]])
    assert polynomial_terms(place, "linear").tolist() == [[0.2, 0.3, 0.5]]
    assert polynomial_terms(place, "quadratic")[0] == pytest.approx(
        [0.2, 0.3, 0.5, 0.06, 0.1, 0.15]
    )
    assert polynomial_terms(place, "special cubic")[0, -1] == pytest.approx(0.03)
    assert polynomial_terms(np.array([[0.4, 0.0, 0.6]]), "special cubic", (0, 2))[0] == (
        pytest.approx([0.4, 0.6, 0.24])
    )


@pytest.mark.parametrize("degree", DEGREES[1:])
def test_the_highest_place_is_found_to_a_ten_thousandth(degree):
    random = np.random.default_rng(0)
    many = random.normal(size=(60, 7 if degree != "quadratic" else 6))
    found = simplex_argmax(many, degree)
    grid = simplex_lattice((0, 1, 2), 300)
    best = (polynomial_terms(grid, degree) @ many.T).max(axis=0)
    here = np.einsum("bp,bp->b", polynomial_terms(found, degree), many)
    assert (here > best - 1e-7).all()
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(1)


def test_errors_are_those_of_leaving_each_candidate_out(simulated):
    observed = candidate_estimates(of(simulated))
    found = polynomial_fits(observed)["quadratic"]
    design, missed = polynomial_terms(observed.shares, "quadratic"), []
    weights = np.sqrt(1 / (observed.noise_variances + found.deviation))
    for out in range(len(design)):
        rest = np.arange(len(design)) != out
        scaled = weights[rest, None] * design[rest]
        solved = np.linalg.lstsq(scaled, weights[rest] * observed.values[rest])[0]
        missed.append(observed.values[out] - design[out] @ solved)
    assert found.error == pytest.approx(np.sqrt(np.mean(np.square(missed))))


def test_the_kind_of_least_error_is_chosen(simulated):
    plane = fit_response_model(of(simulated, accuracy=lambda shares: 0.6 + 0.1 * shares[:, 0]))
    curved = fit_response_model(of(simulated, accuracy=simulated.saturating(0.5, 1.0, 1.2)))
    assert set(curved.errors) == {*DEGREES, GAUSSIAN_PROCESS}
    assert plane.kind == "linear"
    assert curved.kind in ("special cubic", GAUSSIAN_PROCESS)
    for found in (plane, curved):
        assert found.errors[found.kind] == min(found.errors.values())
        assert found.fit.error == found.errors[found.kind]


def test_what_a_seed_does_to_all_alike_changes_nothing(simulated):
    table = of(simulated)
    moved = table.assign(accuracy=table.accuracy + 0.05 * (table.seed - 1))
    one, other = fit_response_model(table), fit_response_model(moved)
    assert one.predict(simplex_lattice())[0] == pytest.approx(
        other.predict(simplex_lattice())[0], abs=1e-6
    )
    for degree in DEGREES:
        before, after = one.lack_of_fit[degree], other.lack_of_fit[degree]
        assert before.p == pytest.approx(after.p)


@pytest.mark.slow
def test_lack_of_fit_is_uniform_where_the_polynomial_is_right(simulated):
    random, case = np.random.default_rng(1), simulated.Case(simulated.hill(0.3, 0.3))
    found = []
    for _ in range(150):
        observed = candidate_estimates(simulated.records(case, random))
        found.append(lack_of_fit_test(observed, polynomial_fits(observed)["quadratic"]).p)
    for level in (0.1, 0.5, 0.9):
        assert np.mean(np.array(found) < level) == pytest.approx(level, abs=0.08)


def test_lack_of_fit_is_seen_where_a_plane_is_bent(simulated):
    found = fit_response_model(of(simulated)).lack_of_fit
    assert found["linear"].p < 1e-4
    assert found["quadratic"].p > 0.01
    assert (found["linear"].df, found["quadratic"].df) == (17 - 3, 17 - 6)
    assert found["linear"].df_error == 16 * 2


def test_networks_that_deviate_from_any_surface_widen_its_error(simulated):
    smooth, rough = (
        polynomial_fits(candidate_estimates(of(simulated, deviation=deviation)))["quadratic"]
        for deviation in (0.0, 0.02)
    )
    assert rough.deviation**0.5 == pytest.approx(0.02, rel=0.5)
    assert (
        rough.predict(simplex_lattice())[1].mean() > 2 * smooth.predict(simplex_lattice())[1].mean()
    )


@pytest.mark.slow
def test_a_standard_error_is_that_of_the_surface(simulated):
    random, truth = np.random.default_rng(2), simulated.hill(0.3, 0.3)
    case, standard = simulated.Case(truth, deviation=0.004), []
    for _ in range(80):
        table = simulated.records(case, random)
        mean, error = polynomial_fits(candidate_estimates(table))["quadratic"].predict(
            simplex_lattice((0, 1, 2), 4)
        )
        off = mean - truth(simplex_lattice((0, 1, 2), 4))
        standard.append((off - off.mean()) / error)  # the seeds' mean taken out
    assert 0.8 < np.std(standard) < 1.1


def test_the_process_follows_what_no_polynomial_does_and_knows_where_it_has_not_been(simulated):
    def ridge(shares):
        return 0.6 + 0.05 * np.sin(9 * shares[:, 0])

    table = of(simulated, accuracy=ridge, candidates=27)
    found = fit_response_model(table)
    assert found.kind == GAUSSIAN_PROCESS
    assert found.predict(found.estimates.shares)[0] == pytest.approx(
        ridge(found.estimates.shares), abs=0.02
    )
    near = fit_response_model(table[table.depth_share < 0.5])
    error = {depth: near.predict([[depth, 1 - depth, 0.0]])[1][0] for depth in (0.2, 1.0)}
    assert error[1.0] > 2 * error[0.2]


def test_the_process_tells_the_surface_from_the_networks_that_deviate_from_it(simulated):
    table = of(simulated, deviation=0.03, candidates=27)
    found = gaussian_process(candidate_estimates(table))
    assert found.deviation**0.5 == pytest.approx(0.03, rel=0.5)
    assert found.predict(np.array([[0.3, 0.3, 0.4]]))[1][0] < found.deviation**0.5 / 1.5


def test_a_single_seed_has_a_surface_and_no_test_of_fit(simulated):
    found = fit_response_model(of(simulated, seeds=1))
    assert found.lack_of_fit == {}
    assert found.predict([[0.3, 0.3, 0.4]])[1][0] > 0


def test_an_axis_that_no_candidate_scales_is_no_part_of_the_polynomial(simulated):
    table = of(simulated)
    edge = table.assign(depth_share=table.depth_share + table.width_share, width_share=0.0)
    found = polynomial_fits(candidate_estimates(edge))
    assert set(found) == {"linear", "quadratic"}
    assert found["quadratic"].axes == (0, 2)
    assert len(found["quadratic"].coefficients) == 3


def test_candidates_that_determine_no_plane_are_refused(simulated):
    table = of(simulated)
    inner = table[table[["depth_share", "width_share", "resolution_share"]].min(axis=1) > 0.1]
    with refused(SearchError):
        fit_response_model(inner[inner.candidate.isin(inner.candidate.unique()[:3])])
    with refused(SearchError):
        fit_response_model(table.assign(depth_share=0.2, width_share=0.4, resolution_share=0.4))
    with refused(SearchError):
        fit_response_model(table).predict([[0.5, 0.5, 0.5]])
