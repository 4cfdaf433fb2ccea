"""Names beside points, none over another name or point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

PixelPosition: TypeAlias = Any
"""Two numbers, in pixels: a tuple or an array."""

DIRECTIONS = (
    *((1, 0), (-1, 0), (0, 1), (0, -1)),
    *((1, 1), (-1, 1), (1, -1), (-1, -1)),
)
"""Right, left, above, below, and the corners."""

DISTANCES = (5, 9, 15, 22, 30, 40)
"""Points from the middle of a mark to the edge of its name, the nearest that is free."""

MAX_UNTIED_DISTANCE = 9
"""Up to this distance a name is seen to belong to its point; from further away it is tied to it."""

BOXES_PER_SEGMENT = 60
"""Boxes that stand for a straight piece of a line."""

MARK_RADIUS = 3.5
"""Points around the middle of a mark that stay free."""


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
    """Write each name at the first place of ``SIDES`` and ``DISTANCES`` that is free, of names,
    points and ``lines`` between points, and within the axes; where none is, at the first. A name
    that had to go far is tied to its point.

    The axes have their final limits and place: ``figure.draw_without_rendering`` came before.
    """
    pixels_per_point = axes.figure.dpi / 72
    to_pixels = axes.transData.transform
    positions = [to_pixels((label.x, label.y)) for label in labels]
    marks = [_box_around(position, MARK_RADIUS * pixels_per_point) for position in positions]
    marks += [box for line in lines for box in _boxes_along([*to_pixels(np.array(line))], pixels_per_point)]
    occupied: list[Bbox] = []
    annotations = []
    for label, place in zip(labels, positions, strict=True):
        for distance, direction in product(DISTANCES, DIRECTIONS):
            annotation, box = _write_label(label, direction, distance, axes)
            tie_boxes = list(_boxes_along((place, _nearest_point(box, place)), pixels_per_point)) if distance > MAX_UNTIED_DISTANCE else []
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
    """The name, and the box of its text in pixels."""
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
    annotation.get_window_extent()  # puts the text where it belongs
    return annotation, Text.get_window_extent(annotation)


def _boxes_along(corners: Sequence[PixelPosition], pixels: float) -> Iterator[Bbox]:
    """Small boxes on the straight pieces of a line."""
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
