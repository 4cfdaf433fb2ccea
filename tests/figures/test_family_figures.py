from itertools import combinations

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scalesearch.families.explanation import explain
from scalesearch.figures.family_figures import explain_figure
from scalesearch.figures.style import DOUBLE_COLUMN
from scalesearch.scaling.coefficients import Coefficients


@pytest.fixture(scope="module")
def document():
    return explain(whole_phis=range(4))


@pytest.fixture(scope="module")
def drawn(document):
    figure = explain_figure(document)
    FigureCanvasAgg(figure).draw()
    return figure


def texts(axes):
    found = [axes._left_title, axes.xaxis.label, axes.yaxis.label]
    found += [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.get_legend().get_texts()]
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return [
        text
        for text in found
        if text.get_text()
        and (text not in axes.get_xticklabels() or low <= text.get_position()[0] <= high)
        and (text not in axes.get_yticklabels() or bottom <= text.get_position()[1] <= top)
    ]


def test_no_label_lies_on_another_or_outside_the_figure(drawn):
    boxes = [
        (text.get_text(), text.get_window_extent()) for axes in drawn.axes for text in texts(axes)
    ]
    for (one, here), (other, there) in combinations(boxes, 2):
        assert not here.overlaps(there), f"{one!r} lies on {other!r}"
    width, height = drawn.canvas.get_width_height()
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


def test_no_point_lies_under_a_legend(drawn):
    for axes in drawn.axes:
        legend = axes.get_legend().get_window_extent()
        for line in axes.get_lines():
            for point in axes.transData.transform(line.get_xydata()):
                assert not legend.contains(*point), line.get_label()


def test_the_points_are_the_documents_numbers(drawn, document):
    factors, phis, pixels = drawn.axes
    rows = document["families"]["published"]
    line = next(line for line in factors.get_lines() if line.get_label() == "published")
    assert list(line.get_ydata()) == [1 + row["excess"] for row in rows[1:]]
    line = next(line for line in phis.get_lines() if line.get_label() == "depth")
    assert list(line.get_ydata()) == [row["implied_phi"]["depth"] for row in rows]
    line = next(line for line in pixels.get_lines() if line.get_label() == "32 px")
    assert list(line.get_ydata()) == document["resolutions"][1]["factors"]


def test_the_figure_spans_both_columns_and_changes_no_global_style(document):
    before = dict(mpl.rcParams)
    figure = explain_figure(document)
    assert figure.get_size_inches()[0] == DOUBLE_COLUMN
    assert dict(mpl.rcParams) == before


def test_an_axis_without_a_phi_is_left_out(document):
    figure = explain_figure(explain(Coefficients(1, 1.2, 1.2), whole_phis=range(2)))
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == [
        *("width", "resolution")
    ]
