"""Bisection of a value at which a condition turns false."""

import pytest

from scalesearch.analysis.bisection import bisection


def test_the_bounds_hold_the_value_and_are_close():
    low, high = bisection(lambda value: value**2 < 2, 0.0, 2.0, 1e-6)
    assert low < 2**0.5 <= high
    assert high - low <= 1e-6


def test_bounds_that_are_close_already_stay():
    assert bisection(lambda value: pytest.fail("not needed"), 0.0, 1.0, 1.0) == (0.0, 1.0)
