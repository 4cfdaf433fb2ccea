"""The optimum: exact without noise, correct intervals, refused with too little data."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.optimum import optimum
from scalesearch.analysis.polynomials import AXES, simplex_lattice
from scalesearch.errors import SearchError


def of(simulated, seed=0, **case):
    case = {"accuracy": simulated.hill(0.3, 0.3), **case}
    return simulated.records(simulated.Case(**case), np.random.default_rng(seed))


@pytest.fixture
def table(simulated):
    return of(simulated, deviation=0.004)


def compared(found):
    """All of an optimum, for ``==``."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name in type(found).__slots__
        for value in [getattr(found, name)]
    }


def test_without_noise_the_top_of_a_hill_is_found(simulated):
    found = optimum(of(simulated, noise=0.0), 2.0)
    assert found.shares.as_tuple() == pytest.approx((0.3, 0.3, 0.4), abs=1e-3)
    assert found.degree == "quadratic"
    assert max(one.width for one in found.share_intervals.values()) < 0.01
    assert found.p_flat < 1e-9
    assert found.equivalent_fraction < 0.02
    assert found.equivalent_shares[0] == pytest.approx(found.shares.as_tuple())
    assert found.share_probability == {"depth": 1.0, "width": 1.0, "resolution": 1.0}


def test_coefficients_are_powers_of_the_factor_and_lie_in_their_intervals(table):
    for factor in (2.0, 3.0, 0.5):
        found = optimum(table, factor)
        assert found.coefficients.factor == pytest.approx(factor)
        powers = {"alpha": 1.0, "beta": 0.5, "gamma": 0.5}
        for axis, (name, power) in zip(AXES, powers.items(), strict=True):
            share, interval = found.share_intervals[axis], found.coefficient_intervals[name]
            assert interval.value == pytest.approx(getattr(found.coefficients, name))
            assert interval.low <= interval.value <= interval.high
            ends = sorted((factor ** (power * share.low), factor ** (power * share.high)))
            assert [interval.low, interval.high] == pytest.approx(ends)


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing(table):
    other = pd.concat([table, table]).sample(frac=1, random_state=1).assign(note="x")
    assert compared(optimum(table, 2.0)) == compared(optimum(other, 2.0))


def test_seeds_that_move_all_alike_change_nothing_but_the_accuracy(table):
    moved = table.assign(accuracy=table.accuracy + 0.1 * table.seed)
    one, other = optimum(table, 2.0), optimum(moved, 2.0)
    assert one.accuracy + 0.1 == pytest.approx(other.accuracy)
    assert one.share_intervals["depth"].low == pytest.approx(other.share_intervals["depth"].low)
    assert one.p_flat == pytest.approx(other.p_flat)


def test_more_noise_makes_wider_intervals_and_a_wider_flat_region(simulated):
    sure, unsure = (optimum(of(simulated, noise=noise), 2.0) for noise in (0.003, 0.02))
    assert unsure.share_intervals["width"].width > 2 * sure.share_intervals["width"].width
    assert unsure.equivalent_fraction > 2 * sure.equivalent_fraction
    assert len(unsure.equivalent_candidates) > len(sure.equivalent_candidates)
    strict = optimum(of(simulated, noise=0.02), 2.0, level=0.4)
    assert strict.share_intervals["width"].width < unsure.share_intervals["width"].width
    assert strict.equivalent_fraction < unsure.equivalent_fraction


def test_an_axis_without_effect_has_a_low_share_probability(simulated):
    found = optimum(of(simulated, accuracy=simulated.hill(-0.3, 0.5), deviation=0.004), 2.0)
    assert found.share_probability["depth"] < 0.1
    assert found.share_probability["width"] > 0.9
    assert found.coefficient_intervals["alpha"].low == 1.0
    assert len(found.region) == 2  # a piece of an edge
    corner = optimum(of(simulated, accuracy=lambda shares: 0.5 + 0.2 * shares[:, 0]), 2.0)
    assert corner.shares.depth == pytest.approx(1.0, abs=1e-3)
    assert corner.degree != "linear"
    assert corner.share_probability["depth"] == 1.0


def test_feasible_shares_limit_the_optimum_and_its_equivalents(table):
    places = simplex_lattice((0, 1, 2), 5)[::2]
    found = optimum(table, 2.0, feasible_shares=places)
    known = {tuple(place) for place in places.tolist()}
    assert found.shares.as_tuple() in known
    assert {tuple(place) for place in found.equivalent_shares.tolist()} <= known
    assert set(found.region) <= known
    assert found.shares.as_tuple() in {tuple(place) for place in found.equivalent_shares.tolist()}


def test_one_seed_has_an_optimum_and_a_note_about_its_noise(simulated):
    found = optimum(of(simulated, seeds=1), 2.0)
    assert found.notes[0].startswith(
        "one seed: noise is estimated from the residuals of the surface"
    )
    assert found.share_intervals["depth"].width > 0.05


def test_the_answer_counts_the_candidates_that_were_stopped(simulated):
    found = optimum(of(simulated, candidates=27, halved=True), 2.0)
    assert "18 candidates were stopped early; their accuracy at the end is predicted" in found.notes
    assert found.shares.distance(type(found.shares)(0.3, 0.3, 0.4)) < 0.3
    few = of(simulated, candidates=27, halved=True)
    few = few.assign(depth_share=1.0, width_share=0.0, resolution_share=0.0)
    with refused(SearchError):
        optimum(few, 2.0)


def test_an_axis_that_no_candidate_scales_gets_nothing_and_is_named(table):
    edge = table.assign(depth_share=table.depth_share + table.width_share, width_share=0.0)
    found = optimum(edge, 2.0)
    assert found.shares.width == 0
    assert found.share_intervals["width"].high == 0
    assert "no candidate scales width" in found.notes


def test_candidates_that_scale_one_axis_alone_have_no_optimum(table):
    corner = table.assign(depth_share=1.0, width_share=0.0, resolution_share=0.0)
    with refused(SearchError):
        optimum(corner, 2.0)


def test_too_few_candidates_and_accuracies_that_are_no_numbers_are_refused(table):
    few = table[table.candidate.isin(sorted(table.candidate.unique())[:6])]
    with refused(SearchError):
        optimum(few, 2.0)
    with refused(SearchError):
        optimum(table.assign(accuracy=table.accuracy.where(table.candidate != "c003")), 2.0)
    with refused(SearchError):
        optimum(table[:0], 2.0)


def test_equal_accuracies_say_that_nothing_is_distinguishable(table):
    found = optimum(table.assign(accuracy=0.5), 2.0)
    assert found.equivalent_fraction == 1.0
    assert found.p_flat > 0.1
    assert any("nothing is distinguishable" in note for note in found.notes)


def test_where_shares_make_no_clear_difference_all_is_flat(simulated):
    found = optimum(of(simulated, accuracy=simulated.flat), 2.0)
    assert found.p_flat > 0.1
    assert (found.equivalent_fraction, len(found.equivalent_candidates)) == (1.0, 17)


def test_one_accuracy_moved_by_one_standard_error_leaves_the_answer_in_its_interval(simulated):
    table = of(simulated, deviation=0.004)
    found = optimum(table, 2.0)
    for name in table.candidate.unique()[::3]:
        moved = table.assign(accuracy=table.accuracy + 0.008 / 3**0.5 * (table.candidate == name))
        new = dict(zip(AXES, optimum(moved, 2.0).shares.as_tuple(), strict=True))
        for axis, interval in found.share_intervals.items():
            assert interval.low - 1e-6 <= new[axis] <= interval.high + 1e-6, (name, axis)


@pytest.mark.slow
def test_the_flatness_test_keeps_its_level(simulated):
    random, case, found = np.random.default_rng(3), simulated.Case(simulated.flat), []
    for _ in range(120):
        found.append(optimum(simulated.records(case, random), 2.0))
    p = np.array([one.p_flat for one in found])
    for level in (0.1, 0.5, 0.9):
        assert np.mean(p < level) == pytest.approx(level, abs=0.13)
    assert np.mean(p < 0.1) < 0.17
    widths = [one.share_intervals["depth"].width for one in found]
    assert np.median(widths) > 0.8  # as wide as the simplex: nothing is known
    assert np.median([one.equivalent_fraction for one in found]) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["interior, two seeds, rough", "interior, halved", "on an edge", "saturating"]
)
def test_intervals_hold_the_optimum_as_often_as_stated(simulated, name):
    """The long form, 400 repetitions on twelve surfaces: ``benchmarks/coverage.py``."""
    found = simulated.coverage(simulated.CASES[name], repeats=60, seed=11)
    assert 0.80 <= found.mean_covered <= 0.995
    assert found.region_covered >= 0.75
    assert found.flat_covered >= 0.85
    assert max(found.width.values()) < 0.45  # a third of all shares would hold it by saying nothing
