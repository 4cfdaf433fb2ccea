import pytest

from scalesearch.analysis.comparisons import holm_correction


def test_the_smallest_is_corrected_most_and_the_order_stays():
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_correction([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm_correction([]) == []
