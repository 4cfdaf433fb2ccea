"""Power: differences are detected as often as stated, in simulated searches."""

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.optimum import optimum
from scalesearch.analysis.paired import paired_difference
from scalesearch.analysis.polynomials import AXES, polynomial_terms, simplex_argmax, simplex_lattice
from scalesearch.analysis.statistical_power import (
    MAX_SEEDS,
    detectable_difference,
    hill_coefficients,
    seeds_needed,
    statistical_power,
)
from scalesearch.errors import SearchError


def plan():
    return np.vstack([simplex_lattice((0, 1, 2), 4), [[1 / 3, 1 / 3, 1 / 3], [0.28, 0.29, 0.43]]])


@pytest.mark.parametrize(("candidates", "seeds"), [(17, 3), (4, 2), (2, 5)])
def test_a_difference_that_is_said_to_be_seen_is_seen_in_four_of_five_searches(candidates, seeds):
    noise, random = 0.01, np.random.default_rng(1)
    gap = detectable_difference(noise, seeds, candidates)
    seen = []
    for _ in range(400):
        runs = random.normal(0, noise, (candidates, seeds)) + random.normal(0, 0.02, seeds)
        runs[0] += gap
        table = {str(name): dict(enumerate(row)) for name, row in enumerate(runs)}
        seen.append(paired_difference(table, "0", "1").p < 0.1)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.06)


def test_more_seeds_and_less_noise_show_smaller_differences():
    by_seeds = [detectable_difference(0.01, seeds, 17) for seeds in (2, 3, 5, 10)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert detectable_difference(0.02, 3, 17) == pytest.approx(
        2 * detectable_difference(0.01, 3, 17), rel=1e-4
    )
    assert detectable_difference(0.01, 3, 17, level=0.1 / 5) > detectable_difference(0.01, 3, 17)
    assert detectable_difference(0.01, 3, 17, power=0.95) > detectable_difference(0.01, 3, 17)


def test_the_seeds_needed_are_the_fewest_that_show_a_difference():
    for gap in (0.005, 0.01, 0.04):
        needed = seeds_needed(gap, 0.01, 17)
        assert detectable_difference(0.01, needed, 17) <= gap
        assert needed == 2 or detectable_difference(0.01, needed - 1, 17) > gap
    assert seeds_needed(-0.01, 0.01, 17) == seeds_needed(0.01, 0.01, 17)
    assert seeds_needed(1e-6, 0.01, 17) == MAX_SEEDS
    assert seeds_needed(0.0, 0.01, 17) == MAX_SEEDS


def test_a_single_seed_or_a_single_candidate_shows_nothing():
    assert detectable_difference(0.01, 1, 17) is None
    assert detectable_difference(0.01, 5, 1) is None
    found = statistical_power(plan(), 0.01, 1, basis="")
    assert (found.two, found.references) == (None, None)
    assert found.widths["depth"] > 0


def test_the_hill_has_its_top_in_the_middle_and_its_corners_at_its_foot():
    for axes, middle in (((0, 1, 2), [1 / 3, 1 / 3, 1 / 3]), ((0, 2), [0.5, 0.0, 0.5])):
        corners = np.eye(3)[list(axes)]
        assert polynomial_terms(corners, "quadratic", axes) @ hill_coefficients(
            axes
        ) == pytest.approx(-0.05)
        assert simplex_argmax(hill_coefficients(axes)[None], "quadratic", axes)[0] == pytest.approx(
            middle, abs=1e-3
        )


def test_widths_are_about_those_of_a_search_on_that_hill(simulated):
    """Narrower, as a search has to find its noise, and its kind of surface, too."""
    said = statistical_power(plan(), 0.008, 3, basis="").widths
    random, widths = np.random.default_rng(2), []

    def accuracy(shares):
        return 0.7 + polynomial_terms(shares, "quadratic") @ hill_coefficients()

    for _ in range(12):
        found = optimum(simulated.records(simulated.Case(accuracy), random), 2.0)
        widths.append([found.share_intervals[axis].width for axis in AXES])
    ratio = np.median(widths, axis=0) / [said[axis] for axis in AXES]
    assert (ratio > 0.8).all()
    assert (ratio < 1.8).all()


def test_candidates_that_determine_no_surface_have_no_widths():
    found = statistical_power(plan()[[0, 4, 7, 9, 14, 15]], 0.01, 3, basis="")
    assert (found.surface, found.widths) == (None, {})
    assert found.two is not None
    stuck = plan()
    stuck = stuck[stuck[:, 1] == 0]
    assert statistical_power(stuck, 0.01, 3, basis="").widths["width"] == 0


def test_the_error_of_the_surface_is_the_mean_over_the_simplex():
    design = polynomial_terms(plan(), "quadratic")
    places = polynomial_terms(simplex_lattice(), "quadratic")
    variance = np.einsum("np,pq,nq->n", places, np.linalg.inv(design.T @ design), places).mean()
    found = statistical_power(plan(), 0.01, 4, basis="")
    assert found.surface == pytest.approx(0.005 * variance**0.5)


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan")])
def test_a_noise_of_zero_or_no_number_is_refused(noise):
    with refused(SearchError):
        statistical_power(plan(), noise, 3, basis="")


def test_no_candidates_and_no_seeds_are_refused():
    with refused(SearchError):
        statistical_power(plan()[:0], 0.01, 3, basis="")
    with refused(SearchError):
        statistical_power(plan(), 0.01, 0, basis="")
