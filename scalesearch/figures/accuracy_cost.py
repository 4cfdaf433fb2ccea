"""Published accuracy of networks against cost, with labels that do not overlap."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, product
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import Bbox

from scalesearch.errors import ExportError
from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    DOUBLE_COLUMN,
    FAINT,
    INK,
    figure_style,
    new_figure,
)

PixelPosition: TypeAlias = Any
"""Two numbers in pixels: a tuple or an array."""

DIRECTIONS = (
    *((1, 0), (-1, 0), (0, 1), (0, -1)),
    *((1, 1), (-1, 1), (1, -1), (-1, -1)),
)
"""Right, left, above, below, and the corners."""

DISTANCES = (5, 9, 15, 22, 30, 40)
"""Distances in points from a mark's centre to its label's edge; the nearest free one is taken."""

MAX_UNTIED_DISTANCE = 9
"""A label further away than this is tied to its point by a line."""

BOXES_PER_SEGMENT = 60
"""Boxes that stand for a straight segment of a line."""

MARK_RADIUS = 3.5
"""Points around the centre of a mark that stay free."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name and its point, in data coordinates."""

    text: str
    x: float
    y: float
    colour: str


def place_labels(
    labels: Sequence[Label], axes: Axes, lines: Sequence[Sequence[tuple[float, float]]] = ()
) -> list[Annotation]:
    """Write each name at the first free position of ``DIRECTIONS`` and ``DISTANCES``.

    A position is free of other names, of points and of ``lines`` between points, and lies within
    the axes. If none is free, the first is taken. A distant name is tied to its point. Call
    ``figure.draw_without_rendering`` first: the axes need their final limits and position.
    """
    pixels_per_point = axes.figure.dpi / 72
    to_pixels = axes.transData.transform
    positions = [to_pixels((label.x, label.y)) for label in labels]
    marks = [_box_around(position, MARK_RADIUS * pixels_per_point) for position in positions]
    marks += [
        box
        for line in lines
        for box in _boxes_along([*to_pixels(np.array(line))], pixels_per_point)
    ]
    occupied: list[Bbox] = []
    annotations = []
    for label, position in zip(labels, positions, strict=True):
        for distance, direction in product(DISTANCES, DIRECTIONS):
            annotation, box = _write_label(label, direction, distance, axes)
            tie_boxes = (
                list(_boxes_along((position, _nearest_point(box, position)), pixels_per_point))
                if distance > MAX_UNTIED_DISTANCE
                else []
            )
            is_free = _is_within(box, axes.bbox) and not _any_overlap([box], [*occupied, *marks])
            if is_free and not _any_overlap(tie_boxes, occupied):
                break
            annotation.remove()
        else:
            annotation, box = _write_label(label, DIRECTIONS[0], DISTANCES[0], axes)
            tie_boxes = []
        occupied += [box, *tie_boxes]
        annotations.append(annotation)
    return annotations


def _write_label(
    label: Label, direction: tuple[int, int], distance: int, axes: Axes
) -> tuple[Annotation, Bbox]:
    """Write the name and return the box of its text, in pixels."""
    right, up = direction
    arrow = {"arrowstyle": "-", "linewidth": 0.4, "color": label.colour, "shrinkB": 3}
    annotation = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(right * distance, up * distance),
        textcoords="offset points",
        ha=("center", "left", "right")[right],
        va=("center", "bottom", "top")[up],
        fontsize=6.5,
        color=label.colour,
        arrowprops=arrow if distance > MAX_UNTIED_DISTANCE else None,
    )
    annotation.set_in_layout(False)
    annotation.get_window_extent()  # places the text
    return annotation, Text.get_window_extent(annotation)


def _boxes_along(corners: Sequence[PixelPosition], pixels: float) -> Iterator[Bbox]:
    """Return small boxes on the straight segments of a line."""
    for (x0, y0), (x1, y1) in pairwise(corners):
        for fraction in np.linspace(0, 1, BOXES_PER_SEGMENT):
            yield _box_around((x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0)), pixels)


def _box_around(position: PixelPosition, pixels: float) -> Bbox:
    x, y = position
    return Bbox.from_extents(x - pixels, y - pixels, x + pixels, y + pixels)


def _nearest_point(box: Bbox, position: PixelPosition) -> tuple[float, float]:
    x, y = position
    return min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)


def _is_within(box: Bbox, frame: Bbox) -> bool:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return bool(inside)


def _any_overlap(boxes: Sequence[Bbox], others: Sequence[Bbox]) -> bool:
    return any(box.overlaps(other) for box in boxes for other in others)


GIVEN_SOURCE = "given"
"""Source of an accuracy that no paper prints, as ``model_table.comparison`` names it."""

MEASURES = {"macs": "FLOPs (multiply-adds)", "params": "parameters"}
MAX_FINE_DECADES = 2.5
"""Up to this number of powers of ten there is room for 2 and 5 between them."""


@dataclass(frozen=True, slots=True)
class PlottedNetwork:
    """A network of the figure. Networks of one ``family`` are joined by a line."""

    name: str
    family: str
    top1: float
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AccuracyCostPlot:
    """Networks in increasing order of multiply-adds.

    ``names_without_accuracy``: networks without a known accuracy. ``has_given``: whether some
    accuracy comes from the user and not from a paper.
    """

    networks: tuple[PlottedNetwork, ...]
    names_without_accuracy: tuple[str, ...]
    has_given: bool = False

    @property
    def y_label(self) -> str:
        """The text at the axis of accuracy."""
        return f"ImageNet top-1, as printed{' or given' if self.has_given else ''}"

    @property
    def families(self) -> tuple[tuple[PlottedNetwork, ...], ...]:
        """Names of families with two or more members."""
        by_family = sorted(self.networks, key=lambda network: network.family)
        groups = (tuple(group) for _, group in groupby(by_family, lambda network: network.family))
        return tuple(group for group in groups if len(group) > 1)


def accuracy_cost_plot(rows: Sequence[Mapping[str, Any]]) -> AccuracyCostPlot:
    """Return the numbers of the figure, from rows of ``model_table.comparison``.

    Raises ExportError if no network has a known accuracy.
    """
    if not any(row["top1"] is not None for row in rows):
        raise ExportError(
            "compare: need the accuracy of at least one network for a figure, got none; name a "
            "published network, or give one with --top1 NETWORK=0.77"
        )
    networks = (
        PlottedNetwork(
            str(row["network"]),
            _family(str(row["network"])),
            row["top1"],
            {measure: row[measure] for measure in MEASURES},
        )
        for row in rows
        if row["top1"] is not None
    )
    return AccuracyCostPlot(
        networks=tuple(sorted(networks, key=lambda network: network.costs["macs"])),
        names_without_accuracy=tuple(str(row["network"]) for row in rows if row["top1"] is None),
        has_given=any(row["source"] == GIVEN_SOURCE for row in rows),
    )


def accuracy_cost_figure(data: AccuracyCostPlot) -> Figure:
    """Draw a panel for each measure of cost."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 3.2)
        panels = fig.subplots(1, len(MEASURES), sharey=True)
        for measure, axes in zip(MEASURES, panels, strict=True):
            _plot_measure(data, measure, axes)
        panels[0].set_ylabel(data.y_label)
        panels[0].yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        fig.draw_without_rendering()  # labels need the final positions of the points
        for measure, axes in zip(MEASURES, panels, strict=True):
            labels = [
                Label(network.name.rpartition("/")[2], network.costs[measure], network.top1, INK)
                for network in data.networks
            ]
            place_labels(labels, axes, _family_lines(data, measure))
    return fig


def _plot_measure(data: AccuracyCostPlot, measure: str, axes: Axes) -> None:
    for line in _family_lines(data, measure):
        axes.plot(*zip(*line, strict=True), color=FAINT, linewidth=0.9, zorder=1)
    for network in data.networks:
        colour = ACCENT if network.family.startswith("efficientnet") else BLUE
        axes.plot(network.costs[measure], network.top1, "o", color=colour, markersize=4.5, zorder=2)
    _scale_axes(data, measure, axes)


def _family_lines(data: AccuracyCostPlot, measure: str) -> list[list[tuple[float, float]]]:
    """Return the lines through the points of each family, the cheapest first."""
    return [
        sorted((network.costs[measure], network.top1) for network in group)
        for group in data.families
    ]


def _scale_axes(data: AccuracyCostPlot, measure: str, axes: Axes) -> None:
    costs = [network.costs[measure] for network in data.networks]
    accuracies = [network.top1 for network in data.networks]
    margin = max((max(costs) / min(costs)) ** 0.17, 1.3)
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / margin, max(costs) * margin)
    decades = math.log10(max(costs) / min(costs))
    axes.xaxis.set_major_locator(
        LogLocator(10, (1.0, 2.0, 5.0) if decades < MAX_FINE_DECADES else (1.0,))
    )
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel(MEASURES[measure])
    y_margin = max(0.15 * (max(accuracies) - min(accuracies)), 0.01)
    axes.set_ylim(min(accuracies) - y_margin, max(accuracies) + y_margin)
    axes.grid(color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _family(name: str) -> str:
    """Return a name without its number, or without the member after a file's name."""
    prefix, colon, member = name.rpartition(":")
    return f"{prefix}:" if colon else re.sub(r"\d+$", "", member)
