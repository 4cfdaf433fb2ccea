import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from refusals import refused

from scalesearch.figures.classification import (
    confusion_figure,
    confusion_matrix,
    reliability_curves,
    reliability_figure,
)


def matrix(classes):
    return (np.ones((classes, classes), dtype=int) + 10 * np.eye(classes, dtype=int)).tolist()


def test_shares_are_of_the_rows_and_a_class_without_images_has_none():
    shares = confusion_matrix([[3, 1], [0, 0]], ["a", "b"]).shares
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()


def test_a_matrix_of_other_classes_is_refused():
    with refused(ValueError):
        confusion_matrix([[1, 0], [0, 1]], "abc")


@pytest.mark.parametrize("classes", [2, 10, 12, 13, 40, 41, 100, 1000])
@pytest.mark.parametrize("name", ["{}", "a long name of class {}"])
def test_no_two_labels_collide_and_none_is_cut_off(classes, name):
    names = [name.format(number) for number in range(classes)]
    figure = confusion_figure(confusion_matrix(matrix(classes), names))
    FigureCanvasAgg(figure).draw()
    axes, bar = figure.axes
    for labels in (
        [*axes.get_xticklabels(), axes.xaxis.label],
        [*axes.get_yticklabels(), axes.yaxis.label],
        [*bar.get_yticklabels(), bar.yaxis.label],
        axes.texts,
    ):
        boxes = [(label.get_text(), label.get_window_extent()) for label in labels]
        assert boxes or classes > 12
        for (one, box), (two, other) in itertools.combinations(boxes, 2):
            assert not box.overlaps(other), f"{one} lies on {two}"
        for text, box in boxes:
            inside = figure.bbox.padded(1)
            assert inside.contains(box.x0, box.y0), text
            assert inside.contains(box.x1, box.y1), text


def test_few_classes_are_named_and_numbered_and_many_are_counted():
    few, many = (
        confusion_figure(confusion_matrix(matrix(k), [f"c{i}" for i in range(k)])).axes[0]
        for k in (10, 100)
    )
    assert [label.get_text() for label in few.get_xticklabels()] == [f"c{i}" for i in range(10)]
    assert {text.get_text() for text in few.texts} == {"55", "5"}
    assert len(many.get_xticks()) == 10
    assert not many.texts


def test_a_share_that_rounds_to_nothing_is_left_blank():
    axes = confusion_figure(confusion_matrix([[199, 1], [1, 99]], ["a", "b"])).axes[0]
    assert [text.get_text() for text in axes.texts] == ["100", "1", "99"]


SURE = [(1, 0.1, 0.0), (0, 0.3, 0.3), (3, 0.9, 0.7)]
MILD = [(2, 0.5, 0.5), (2, 0.6, 0.6)]


def test_a_reliability_curve_has_the_filled_bins_and_names_its_error():
    (curve,) = reliability_curves({"before": SURE})
    assert curve.confidence == (0.1, 0.9)
    assert curve.accuracy == (0.0, 0.7)
    assert curve.share == (0.25, 0.75)
    assert curve.name == "before: error of calibration 17.5%"


@pytest.mark.parametrize("parts", [{"a": []}, {"a": [(0, 0.5, 0.5)]}, dict.fromkeys("abc", SURE)])
def test_empty_or_too_many_reliability_curves_are_refused(parts):
    with refused(ValueError):
        reliability_curves(parts)


def test_labels_of_reliability_curves_neither_collide_nor_are_cut_off():
    parts = {"temperature 1": SURE, "temperature 0.7765": MILD}
    drawn = reliability_figure(reliability_curves(parts))
    FigureCanvasAgg(drawn).draw()
    (axes,) = drawn.axes
    legend = axes.get_legend()
    boxes = [
        axes.get_window_extent(),
        legend.get_window_extent(),
        axes.yaxis.label.get_window_extent(),
    ]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= drawn.bbox.x1
        assert box.y1 <= drawn.bbox.y1
