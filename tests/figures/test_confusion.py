import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scalesearch.figures.classification import confusion_figure, confusion_matrix


def matrix(classes):
    return (np.ones((classes, classes), dtype=int) + 10 * np.eye(classes, dtype=int)).tolist()


def test_shares_are_of_the_rows_and_a_class_without_images_has_none():
    shares = confusion_matrix([[3, 1], [0, 0]], ["a", "b"]).shares
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"need 3 by 3 counts, got \(2, 2\)"):
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
