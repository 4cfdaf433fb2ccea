"""Drift of the best shares with the budget: found if present, not claimed otherwise."""

import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.factor_drift import factor_drift
from scalesearch.errors import SearchError


def search(simulated, top, seed, **case):
    accuracy = simulated.flat if top is None else simulated.hill(*top)
    case = simulated.Case(accuracy, **{"deviation": 0.002, "noise": 0.005, **case})
    return simulated.records(case, np.random.default_rng(seed)), None


def test_an_optimum_that_moves_with_the_factor_is_found_with_its_direction(simulated):
    tables = {4.0: search(simulated, (0.6, 0.1), 1), 2.0: search(simulated, (0.2, 0.5), 0)}
    found = factor_drift(tables)
    assert list(found.optima) == [2.0, 4.0]
    (only,) = found.differences
    assert only.shares["depth"].low > 0 > only.shares["width"].high
    assert only.p < 0.05
    assert found.has_drift
    assert "drift with phi: from 2x to 4x depth gets +" in found.sentence
    assert only.row["depth_low"] == only.shares["depth"].low


def test_one_optimum_for_all_factors_is_no_drift_more_often_than_the_level(simulated):
    claimed = 0
    for seed in range(12):
        tables = {
            factor: search(simulated, (0.3, 0.3), 3 * seed + place)
            for place, factor in enumerate((2.0, 4.0))
        }
        found = factor_drift(tables)
        claimed += bool(found.has_drift)
    assert claimed <= 3
    assert "no significant drift of the coefficients with phi between 2x, 4x" in found.sentence


def test_coefficients_of_one_doubling_are_comparable_between_factors(simulated):
    table = search(simulated, (0.3, 0.3), 0)
    rows = factor_drift({2.0: table, 8.0: table}).rows
    assert rows[0]["alpha_of_doubling"] == pytest.approx(rows[1]["alpha_of_doubling"])
    product = (
        rows[0]["alpha_of_doubling"]
        * (rows[0]["beta_of_doubling"] * rows[0]["gamma_of_doubling"]) ** 2
    )
    assert product == pytest.approx(2.0)


def test_a_factor_with_too_few_candidates_is_left_out_and_named(simulated):
    few, _ = search(simulated, (0.3, 0.3), 0)
    found = factor_drift({2.0: search(simulated, (0.3, 0.3), 1), 4.0: (few[:9], None)})
    assert (found.has_drift, list(found.optima)) == (None, [2.0])
    assert found.notes[0].startswith("4x: the optimum: need candidates")
    assert "fewer than two factors" in found.sentence
    with refused(SearchError):
        factor_drift({2.0: (few.assign(accuracy=np.nan), None)})


def test_the_chances_of_two_searches_are_their_own_though_their_tables_are_alike(simulated):
    table = search(simulated, (0.3, 0.3), 0)
    (only,) = factor_drift({2.0: table, 4.0: table}).differences
    assert only.shares["depth"].value == pytest.approx(0)
    assert only.shares["depth"].width > 0.02
