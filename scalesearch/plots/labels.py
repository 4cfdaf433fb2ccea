"""Names beside points, none over another name or point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

Place: TypeAlias = Any
"""Two numbers, in pixels: a tuple or an array."""

SIDES = (
    *((1, 0), (-1, 0), (0, 1), (0, -1)),
    *((1, 1), (-1, 1), (1, -1), (-1, -1)),
)
"""Right, left, above, below, and the corners."""

DISTANCES = (5, 9, 15, 22, 30, 40)
"""Points from the middle of a mark to the edge of its name, the nearest that is free."""

NEAR = 9
"""Up to this distance a name is seen to belong to its point; from further away it is tied to it."""

PIECES = 60
"""Boxes that stand for a straight piece of a line."""

MARK = 3.5
"""Points around the middle of a mark that stay free."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name and its point, in data coordinates."""

    text: str
    x: float
    y: float
    colour: str


def placed(
    labels: Sequence[Label], axes: Axes, lines: Sequence[Sequence[tuple[float, float]]] = ()
) -> list[Annotation]:
    """Write each name at the first place of ``SIDES`` and ``DISTANCES`` that is free, of names,
    points and ``lines`` between points, and within the axes; where none is, at the first. A name
    that had to go far is tied to its point.

    The axes have their final limits and place: ``figure.draw_without_rendering`` came before.
    """
    point = axes.figure.dpi / 72
    at = axes.transData.transform
    own = [at((label.x, label.y)) for label in labels]
    marks = [_around(place, MARK * point) for place in own]
    marks += [box for line in lines for box in _along([*at(np.array(line))], point)]
    taken: list[Bbox] = []
    written = []
    for label, place in zip(labels, own, strict=True):
        for distance, side in product(DISTANCES, SIDES):
            note, box = _written(label, side, distance, axes)
            tie = list(_along((place, _nearest(box, place)), point)) if distance > NEAR else []
            free = _within(box, axes.bbox) and not _meet([box], [*taken, *marks])
            if free and not _meet(tie, taken):
                break
            note.remove()
        else:
            note, box = _written(label, SIDES[0], DISTANCES[0], axes)
            tie = []
        taken += [box, *tie]
        written.append(note)
    return written


def _written(
    label: Label, side: tuple[int, int], distance: int, axes: Axes
) -> tuple[Annotation, Bbox]:
    """The name, and the box of its text in pixels."""
    right, up = side
    tie = {"arrowstyle": "-", "linewidth": 0.4, "color": label.colour, "shrinkB": 3}
    note = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(right * distance, up * distance),
        textcoords="offset points",
        ha=("center", "left", "right")[right],
        va=("center", "bottom", "top")[up],
        fontsize=6.5,
        color=label.colour,
        arrowprops=tie if distance > NEAR else None,
    )
    note.set_in_layout(False)
    note.get_window_extent()  # puts the text where it belongs
    return note, Text.get_window_extent(note)


def _along(corners: Sequence[Place], pixels: float) -> Iterator[Bbox]:
    """Small boxes on the straight pieces of a line."""
    for (x0, y0), (x1, y1) in pairwise(corners):
        for part in np.linspace(0, 1, PIECES):
            yield _around((x0 + part * (x1 - x0), y0 + part * (y1 - y0)), pixels)


def _around(place: Place, pixels: float) -> Bbox:
    x, y = place
    return Bbox.from_extents(x - pixels, y - pixels, x + pixels, y + pixels)


def _nearest(box: Bbox, place: Place) -> tuple[float, float]:
    x, y = place
    return min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)


def _within(box: Bbox, frame: Bbox) -> bool:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return bool(inside)


def _meet(boxes: Sequence[Bbox], others: Sequence[Bbox]) -> bool:
    return any(one.overlaps(other) for one in boxes for other in others)
