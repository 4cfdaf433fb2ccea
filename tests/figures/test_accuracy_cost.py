"""Accuracy against cost: the numbers, and that no name lies over another or over a point."""

from itertools import combinations

from matplotlib.text import Annotation, Text
from refusals import refused

from scalesearch.benchmarking.model_table import USER_SOURCE
from scalesearch.errors import ExportError
from scalesearch.figures.accuracy_cost import accuracy_cost_figure, accuracy_cost_plot
from scalesearch.figures.style import figure_style


def row(name, top1, macs, params):
    return {"network": name, "top1": top1, "macs": macs, "params": params, "source": "a paper"}


ROWS = [
    row("resnet152", 0.778, 11.5e9, 60e6),
    row("resnet50", 0.760, 4.1e9, 26e6),
    row("densenet169", 0.762, 3.4e9, 14e6),
    row("efficientnet_b6", 0.840, 19e9, 43e6),
    row("efficientnet_b7", 0.843, 37e9, 66e6),
    row("results/x/family.json:b1", 0.75, 1e8, 4e6),
    row("results/x/family.json:b2", 0.77, 2e8, 8e6),
    row("secret", None, 1e9, 1e6),
]


def test_networks_are_ordered_by_cost_and_those_of_unknown_accuracy_are_left_out():
    data = accuracy_cost_plot(ROWS)
    assert [network.name for network in data.networks][:3] == [
        "results/x/family.json:b1",
        "results/x/family.json:b2",
        "densenet169",
    ]
    assert data.names_without_accuracy == ("secret",)


def test_networks_of_one_family_are_joined():
    families = {
        tuple(network.name for network in group) for group in accuracy_cost_plot(ROWS).families
    }
    assert families == {
        ("resnet50", "resnet152"),
        ("efficientnet_b6", "efficientnet_b7"),
        ("results/x/family.json:b1", "results/x/family.json:b2"),
    }


def test_without_any_accuracy_there_is_no_figure():
    with refused(ExportError):
        accuracy_cost_plot([row("secret", None, 1, 1)])


def test_the_figure_calls_only_printed_accuracies_printed():
    assert accuracy_cost_plot(ROWS).y_label == "ImageNet top-1, as printed"
    mixed = [*ROWS, {**row("mine", 0.7, 1e9, 1e6), "source": USER_SOURCE}]
    assert accuracy_cost_plot(mixed).y_label == "ImageNet top-1, as printed or given"


def test_no_name_lies_over_another_one_or_over_a_point():
    with figure_style():
        drawn = accuracy_cost_figure(accuracy_cost_plot(ROWS))
        drawn.draw_without_rendering()
        for axes in drawn.axes:
            names = [child for child in axes.get_children() if isinstance(child, Annotation)]
            assert len(names) == 7
            boxes = [Text.get_window_extent(name) for name in names]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
            points = [axes.transData.transform(line.get_xydata()[0]) for line in _marks(axes)]
            assert len(points) == 7
            assert not any(box.contains(*point) for box in boxes for point in points)
            assert all(axes.bbox.contains(box.x0, box.y0) for box in boxes)
            assert all(axes.bbox.contains(box.x1, box.y1) for box in boxes)


def _marks(axes):
    return [line for line in axes.lines if line.get_marker() == "o"]
