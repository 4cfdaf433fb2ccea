import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.optimum import optimum
from scalesearch.errors import SearchError
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN
from scalesearch.figures.ternary import ternary, ternary_figure


def drawn(table):
    return ternary(table, optimum(table, 2.0))


def test_the_surface_is_highest_where_the_optimum_is_said_to_be(searched):
    data = drawn(searched())
    top = data.shares[np.argmax(data.means)]
    assert np.abs(top - data.optimum).max() < 0.03
    assert np.array(data.optimum) == pytest.approx([0.2, 0.5, 0.3], abs=0.05)
    assert data.trained.epoch == 3
    assert data.confidence == pytest.approx(0.9)


def test_the_outline_agrees_with_the_equivalent_shares_of_the_optimum(searched):
    table = searched(noise=0.01)
    found, data = optimum(table, 2.0), drawn(table)
    assert not data.is_undecided
    flat = {tuple(place) for place in np.round(found.equivalent_shares[1:], 6)}
    coarse = [tuple(place) for place in np.round(data.shares, 6)]
    shared = [
        (margin <= 0, place in flat)
        for place, margin in zip(coarse, data.margins, strict=True)
        if np.allclose(np.array(place) * 12, np.rint(np.array(place) * 12), atol=1e-4)
    ]
    assert len(shared) == 91  # the places that both lattices have
    assert {one for one, _ in shared} == {True, False}
    assert all(one == other for one, other in shared)


def test_equal_accuracies_are_undecided_and_have_no_outline(searched):
    data = drawn(searched(steep=0.0))
    assert data.is_undecided
    figure = ternary_figure(data)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "as good, within noise" not in labels
    assert "all shares are within noise" in figure.axes[0].get_title(loc="left")


def test_every_reference_and_what_is_said_of_the_best_are_in_the_legend(searched):
    figure = ternary_figure(drawn(searched(noise=0.01, stopped=2)))
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    references = {"depth only", "width only", "resolution only", "uniform", "paper"}
    others = {"optimum", "its 90% region", "as good, within noise", "trained", "stopped early"}
    assert labels == references | others


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
@pytest.mark.parametrize("steep", [0.3, 0.0])
def test_no_two_texts_collide(searched, legible, width, steep):
    assert legible(ternary_figure(drawn(searched(noise=0.01, steep=steep, stopped=2)), width)) > 20


def test_an_axis_that_no_candidate_scales_leaves_a_line_and_no_surface(searched):
    table = searched()
    data = drawn(table[table["depth_share"] == 0])
    assert data.shares[:, 0] == pytest.approx(0)
    assert not [c for c in ternary_figure(data).axes[0].collections if c.get_array() is not None]


def test_too_few_candidates_are_refused(searched):
    table = searched()
    found = optimum(table, 2.0)
    with refused(SearchError):
        ternary(table[table["candidate"] < "c03"], found)
