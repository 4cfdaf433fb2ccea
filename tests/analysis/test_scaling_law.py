"""Scaling laws: exact without noise, bands that hold the truth, larger networks predicted."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.exponents import exponent_shares
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.scaling_law import (
    ScalingLaw,
    fit_scaling_law,
    fit_scaling_laws,
    held_out_network,
    networks_by_direction,
)
from scalesearch.errors import SearchError

COSTS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def line(floor, scale, exponent, *, costs=COSTS, noise=0.0, rough=0.0, seeds=3, seed=0, axis=0):
    """Networks of one direction from a baseline c0, whose errors follow a law."""
    random = np.random.default_rng(seed)
    rows = []
    for place, cost in enumerate(costs):
        truth = 1 - floor - scale * cost**-exponent + random.normal(0, rough)
        shares = np.eye(3)[axis] if cost > 1 else np.full(3, 1 / 3)
        name = f"{'dwr'[axis]}{place}" if cost > 1 else "c0"
        rows += [
            (
                name,
                run,
                9,
                cost,
                *shares,
                truth + 0.01 * (run - seeds // 2) + random.normal(0, noise),
            )
            for run in range(seeds)
        ]
    names = ["candidate", "seed", "epoch", "factor", "depth_share", "width_share"]
    return pd.DataFrame(rows, columns=[*names, "resolution_share", "accuracy"])


def star(*parameters, **options):
    """Three lines from one baseline, each with its scale and exponent, and one error there."""
    lines = [
        line(0.4 - scale, scale, exponent, axis=axis, seed=axis, **options)
        for axis, (scale, exponent) in enumerate(parameters)
    ]
    return pd.concat([lines[0], *(other[other.candidate != "c0"] for other in lines[1:])])


@pytest.mark.parametrize("known", [(0.2, 0.2, 0.5), (0.0, 0.4, 0.1), (0.3, 0.1, 2.0)])
def test_without_noise_a_law_comes_back_as_it_was(known):
    found = fit_scaling_law(line(*known))
    assert (found.floor.value, found.scale.value, found.exponent.value) == pytest.approx(
        known, abs=2e-3
    )
    truth = 1 - known[0] - known[1] * 64 ** -known[2]
    assert found.at_phi(6).value == pytest.approx(truth, abs=2e-3)
    assert found.accuracy(64).width < 0.01
    assert found.is_rising


@pytest.mark.slow
@pytest.mark.parametrize("known", [(0.2, 0.2, 0.5), (0.1, 0.3, 0.2)])
def test_bands_hold_the_truth_at_larger_cost_about_as_often_as_they_say(known):
    inside = np.zeros(2)
    for seed in range(40):
        table = line(*known, costs=(*COSTS, 16.0), noise=0.006, rough=0.002, seed=seed)
        band = fit_scaling_law(table[table.factor < 16]).accuracy(16)
        truth = 1 - known[0] - known[1] * 16 ** -known[2]
        inside += [band.low <= truth <= band.high, held_out_network(table, 16.0).is_inside]
    assert (inside / 40 >= 0.75).all(), inside


def test_a_larger_member_is_predicted_from_the_smaller_ones_and_checked():
    table = line(0.2, 0.2, 0.5, noise=0.003)
    found = held_out_network(table, 5.0)
    assert (found.factor, found.seeds) == (5.6, 3)
    assert found.is_inside
    assert found.row["observed"] == pytest.approx(1 - 0.2 - 0.2 / 5.6**0.5, abs=0.01)
    better = table.factor > 5
    assert not held_out_network(table.assign(accuracy=table.accuracy + 0.1 * better), 5.0).is_inside
    with refused(SearchError):
        held_out_network(table, 9.0)


def test_a_network_s_own_chances_widen_what_is_predicted_of_it():
    found = fit_scaling_law(line(0.2, 0.2, 0.5, noise=0.01, rough=0.004))
    assert found.prediction(16, seeds=3).width > found.accuracy(16).width
    assert found.prediction(16, seeds=1).width > found.prediction(16, seeds=3).width
    assert found.accuracy(32).width > found.accuracy(4).width
    row = found.curve_rows([1, 4])[1]
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_accuracy_that_falls_with_cost_has_a_law_that_is_level_and_says_so():
    table = line(0.2, 0.2, 0.5)
    falling = fit_scaling_law(table.assign(accuracy=1 - table.accuracy))
    assert not falling.is_rising
    assert falling.accuracy(2).value == pytest.approx(falling.accuracy(32).value)


def test_each_axis_of_a_star_has_its_law_from_the_baseline_on():
    table = star((0.2, 0.5), (0.1, 1.0), (0.3, 0.2))
    assert {name: len(found) for name, found in networks_by_direction(table).items()} == {
        "depth": 7, "width": 7, "resolution": 7,
    }  # fmt: skip
    found = fit_scaling_laws(table)
    assert [found[axis].exponent.value for axis in ("depth", "width", "resolution")] == (
        pytest.approx([0.5, 1.0, 0.2], abs=0.01)
    )
    compound = table.assign(depth_share=0.3, width_share=0.3, resolution_share=0.4)
    assert list(networks_by_direction(compound)) == ["compound"]


def test_exponents_give_equal_axes_equal_shares_and_a_useless_one_nothing():
    equal = exponent_shares(fit_scaling_laws(star((0.2, 0.5), (0.2, 0.5), (0.2, 0.5))), 2.0)
    assert equal.shares.as_tuple() == pytest.approx((1 / 3,) * 3, abs=0.01)
    assert equal.coefficients.factor == pytest.approx(2.0)
    useless = exponent_shares(fit_scaling_laws(star((0.0, 0.5), (0.2, 0.5), (0.2, 0.5))), 2.0)
    assert useless.shares.as_tuple() == pytest.approx((0, 0.5, 0.5), abs=0.01)


def test_shares_from_exponents_are_where_no_other_division_gains_more():
    known = np.array([(0.25, 0.6), (0.2, 1.0), (0.3, 0.4)])
    found = exponent_shares(fit_scaling_laws(star(*known)), 4.0)
    step = np.array(np.meshgrid(*[np.linspace(0, 1, 101)] * 2)).reshape(2, -1).T
    grid = np.column_stack([step, 1 - step.sum(axis=1)])
    grid = grid[grid[:, 2] >= -1e-9]
    gains = (known[:, 0] * (1 - 4.0 ** (-known[:, 1] * grid))).sum(axis=1)
    assert found.shares.as_tuple() == pytest.approx(tuple(grid[np.argmax(gains)]), abs=0.02)


def test_noise_widens_shares_from_exponents_and_they_hold_the_truth():
    table = star((0.2, 0.5), (0.2, 0.5), (0.2, 0.5), noise=0.008)
    found = exponent_shares(fit_scaling_laws(table), 2.0)
    for row in found.rows:
        assert row["share_low"] < 1 / 3 < row["share_high"]
        assert row["share_high"] - row["share_low"] > 0.1
        assert row["gain_of_doubling_low"] < 0.2 * (1 - 2**-0.5) < row["gain_of_doubling_high"]
    assert found.intervals["alpha"].low >= 1


def test_a_hand_made_law_splits_a_small_budget_by_the_first_gains_alone():
    def made(scale, exponent):
        parts = [Interval(one, one, one) for one in (0.0, scale, exponent)]
        draws = np.array([[0.0, scale, exponent]])
        return ScalingLaw("x", *parts, (1.0,), (0.5,), 0.0, 0.0, 0.1, draws)

    steep = {"depth": made(0.1, 0.5), "width": made(0.1, 0.9), "resolution": made(0.1, 0.2)}
    assert exponent_shares(steep, 1.01).shares.as_tuple() == pytest.approx((0, 1, 0))
    level = dict.fromkeys(steep, made(0.0, 1.0))
    with refused(SearchError):
        exponent_shares(level, 2.0)


def test_too_little_for_a_law_is_refused_with_what_is_missing():
    table = star((0.2, 0.5), (0.2, 0.5), (0.2, 0.5))
    with refused(SearchError):
        fit_scaling_law(line(0.2, 0.2, 0.5, costs=(1, 2, 4)))
    with refused(SearchError):
        exponent_shares(fit_scaling_laws(table[table.resolution_share < 0.9]), 2.0)
    with refused(SearchError):
        exponent_shares(fit_scaling_laws(table), 0.5)
    with refused(SearchError):
        fit_scaling_law(table.assign(factor=np.nan))
    with refused(SearchError):
        fit_scaling_law(table[:0])
    with refused(SearchError):
        fit_scaling_law(table.assign(accuracy=np.nan))


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing():
    table = star((0.2, 0.5), (0.1, 1.0), (0.3, 0.2), noise=0.005)
    other = pd.concat([table, table]).sample(frac=1, random_state=1).assign(note="x")
    assert [one.row for one in fit_scaling_laws(other).values()] == [
        one.row for one in fit_scaling_laws(table).values()
    ]
