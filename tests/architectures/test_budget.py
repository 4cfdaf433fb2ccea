import pytest

from scalesearch.architectures.budget import Budget
from scalesearch.scaling import ROUNDINGS


def test_a_budget_is_met_within_its_relative_tolerance_on_both_sides():
    budget = Budget(factor=4.0, tolerance=0.1)
    assert [budget.meets(factor) for factor in (3.59, 3.61, 4.39, 4.41)] == [
        *(False, True, True, False)
    ]
    assert budget.limit == pytest.approx(4.4)


def test_the_profile_is_the_rounding_of_that_name():
    assert Budget(rounding="official").profile is ROUNDINGS["official"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"factor": 0}, "factor: need a factor above 0, and not 1, got 0"),
        ({"factor": 1.0}, r"factor: need a factor above 0, and not 1, got 1\.0"),
        ({"tolerance": 0.0}, r"tolerance: need 0 < tolerance < 0\.5, got 0\.0"),
        ({"tolerance": 0.5}, r"tolerance: need 0 < tolerance < 0\.5, got 0\.5"),
        ({"rounding": "floor"}, "rounding: need one of official, nearest, even.*, got 'floor'"),
        ({"smallest": 1.5}, r"smallest: need 0 < smallest <= 1, got 1\.5"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_by_name(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Budget(**bad)


def test_all_problems_of_a_budget_are_told_at_once():
    with pytest.raises(ValueError, match=r"factor: .*; tolerance: "):
        Budget(factor=-1, tolerance=2)
