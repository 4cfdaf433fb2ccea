import pytest
from refusals import refused

from scalesearch.candidates.budget import Budget, CostLimits
from scalesearch.scaling.rounding import ROUNDINGS, Rounding


def test_a_budget_is_met_within_its_relative_tolerance_on_both_sides():
    budget = Budget(factor=4.0, tolerance=0.1)
    assert [budget.is_met_by(factor) for factor in (3.59, 3.61, 4.39, 4.41)] == [
        *(False, True, True, False)
    ]
    assert budget.max_factor == pytest.approx(4.4)


def test_the_profile_is_the_rounding_of_that_name():
    assert Budget(rounding="official").rounding_profile is ROUNDINGS["official"]


@pytest.mark.parametrize(
    "bad",
    [
        {"factor": 0},
        {"factor": 1.0},
        {"tolerance": 0.0},
        {"tolerance": 0.5},
        {"rounding": "floor"},
        {"smallest": 1.5},
    ],
)
def test_a_budget_that_cannot_be_is_refused_by_name(bad):
    with refused(ValueError):
        Budget(**bad)


def test_all_problems_of_a_budget_are_told_at_once():
    with refused(ValueError):
        Budget(factor=-1, tolerance=2)


# Roundings, limits and bounds


def test_a_rounding_of_ones_own_is_the_profile_and_has_a_name():
    mixed = Rounding(depth="even", divisor=4)
    budget = Budget(rounding=mixed)
    assert budget.rounding_profile is mixed
    assert budget.rounding_name == "even with divisor 4"
    assert Budget(rounding="timm").rounding_name == "timm"


def test_limits_that_are_set_are_listed():
    assert list(CostLimits()) == []
    assert list(CostLimits(params=2.0, activations=1.5)) == [("params", 2.0), ("activations", 1.5)]


def test_bounds_are_told_in_words():
    budget = Budget(limits=CostLimits(activations=1.5), min_resolution=24, max_resolution=48)
    assert budget.bounds_text == "activations at most 1.5x, at least 24 px, at most 48 px"
    assert Budget().bounds_text == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"min_resolution": 0},
        {"min_resolution": 40, "max_resolution": 32},
        {"mode": "nominal", "rounding": "official", "max_resolution": 64},
    ],
)
def test_bounds_that_cannot_be_are_refused_by_name(bad):
    with refused(ValueError):
        Budget(**bad)


@pytest.mark.parametrize("limit", [0, -1.5, float("inf"), float("nan")])
def test_a_limit_that_cannot_be_is_refused_by_name(limit):
    with refused(ValueError):
        CostLimits(params=limit)


def test_budgets_are_values_that_can_be_compared_and_hashed():
    one, other = (Budget(limits=CostLimits(params=2.0), rounding=Rounding()) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
