import pytest

from scalesearch.figures.intervals import coefficient_intervals, coefficient_intervals_figure
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN

ESTIMATE = {
    "alpha": {"value": 1.15, "low": 1.0, "high": 1.25},
    "beta": {"value": 1.0, "low": 1.0, "high": 1.21},
    "gamma": {"value": 1.33, "low": 1.16, "high": 1.41},
}


def test_each_coefficient_lies_between_what_it_can_be_beside_the_papers():
    alpha, beta, gamma = coefficient_intervals(ESTIMATE, 2.0).rows
    assert (alpha.minimum, alpha.maximum, alpha.paper) == (1.0, 2.0, 1.2)
    assert (beta.maximum, gamma.paper) == (pytest.approx(2**0.5), 1.15)
    assert (gamma.value, gamma.low, gamma.high) == (1.33, 1.16, 1.41)


def test_the_papers_triple_is_of_the_same_factor():
    rows = coefficient_intervals(ESTIMATE, 4.0).rows
    product = rows[0].paper * rows[1].paper ** 2 * rows[2].paper ** 2
    assert product == pytest.approx(4.0)
    assert (rows[0].maximum, rows[1].maximum) == (4.0, 2.0)


def test_a_shrinking_factor_turns_the_bounds():
    (alpha, *_) = coefficient_intervals(ESTIMATE, 0.5).rows
    assert (alpha.minimum, alpha.maximum) == (0.5, 1.0)


def test_the_level_is_shown():
    figure = coefficient_intervals_figure(coefficient_intervals(ESTIMATE, 2.0, level=0.2))
    assert figure.axes[0].get_title(loc="left") == "Coefficients with 80% intervals"


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
def test_no_two_texts_collide(legible, width):
    assert legible(coefficient_intervals_figure(coefficient_intervals(ESTIMATE, 2.0), width)) > 12
