import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scalesearch.figures.classification import reliability_curves, reliability_figure

SURE = [(1, 0.1, 0.0), (0, 0.3, 0.3), (3, 0.9, 0.7)]
MILD = [(2, 0.5, 0.5), (2, 0.6, 0.6)]


def test_a_curve_has_the_bins_with_images_and_says_its_error():
    (curve,) = reliability_curves({"before": SURE})
    assert curve.confidence == (0.1, 0.9)
    assert curve.accuracy == (0.0, 0.7)
    assert curve.share == (0.25, 0.75)
    assert curve.name == "before: error of calibration 17.5%"


@pytest.mark.parametrize("parts", [{"a": []}, {"a": [(0, 0.5, 0.5)]}, dict.fromkeys("abc", SURE)])
def test_what_cannot_be_drawn_is_refused(parts):
    with pytest.raises(ValueError, match="need up to 2 parts with images"):
        reliability_curves(parts)


def test_no_label_collides_and_none_is_cut_off():
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
