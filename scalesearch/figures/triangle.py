"""The triangle of shares: geometry, frame, marks and legend.

The corners are the three axes. Both plots over shares, and the report's interactive one, use it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from scalesearch.analysis.polynomials import AXES
from scalesearch.figures.style import FAINT, INK

SEARCHED = "searched"
"""The role of a candidate that is no reference."""
Points: TypeAlias = NDArray[np.float64]

CORNERS: Points = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Corners of depth, width and resolution: the whole budget is spent on one axis."""

REFERENCE_MARKERS = {"depth": "s", "width": "D", "resolution": "^", "uniform": "p", "paper": "*"}
REFERENCE_NAMES = {axis: f"{axis} only" for axis in AXES}
STOPPED_MARKER: dict[str, Any] = {
    "marker": "x",
    "markersize": 3.5,
    "color": INK,
    "linestyle": "none",
}


class TriangleSide(NamedTuple):
    """A side of the triangle, by corners; along it the share of ``end`` grows to one."""

    start: int
    end: int
    opposite: int
    angle: float
    label: str


SIDES = (
    TriangleSide(0, 1, 2, 0, "{} share \N{RIGHTWARDS ARROW}"),
    TriangleSide(1, 2, 0, -60, "\N{LEFTWARDS ARROW} {} share"),
    TriangleSide(2, 0, 1, 60, "\N{LEFTWARDS ARROW} {} share"),
)


def legend_order(references: Sequence[str]) -> list[int]:
    """Return a sort key that gives every legend the same order."""
    order = [*REFERENCE_MARKERS]
    return [order.index(name) if name in order else len(order) for name in references]


def references_text(references: Sequence[str]) -> str:
    """Return references as text for people."""
    return ", ".join(REFERENCE_NAMES.get(name, name) for name in references)


def cartesian(shares: Sequence[tuple[float, float, float]]) -> Points:
    """Return shares as points (N, 2) in the plane of ``CORNERS``."""
    return np.array(shares, dtype=np.float64).reshape(-1, 3) @ CORNERS


def colour_limits(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return both ends of the colour scale; they differ even if all are equal."""
    low, high = min(accuracies), max(accuracies)
    return (low, high) if high - low >= 1e-6 else (low - 0.005, high + 0.005)


def draw_frame(axes: Axes) -> None:
    """Draw the triangle, its grid at quarters, and along each side its growing share."""
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.margins(0)
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, color=INK, linewidth=0.8, zorder=3)
    for side in SIDES:
        _draw_side(axes, side)
    for corner, name, offset in zip(CORNERS, AXES, ((-10, -10), (10, -10), (0, 14)), strict=True):
        add_text_beside(axes, corner, offset, name, fontweight="bold")


def _draw_side(axes: Axes, side: TriangleSide) -> None:
    start, end, opposite = (CORNERS[corner] for corner in (side.start, side.end, side.opposite))
    outward = (start + end) / 2 - opposite
    outward = outward / np.linalg.norm(outward)
    for share in (0.25, 0.5, 0.75):
        tick = start + share * (end - start)
        across = opposite + share * (end - opposite)  # where this share meets the third side
        axes.plot(*np.array([tick, across]).T, color=FAINT, linewidth=0.4, zorder=1.5)
        add_text_beside(
            axes, tick, 8 * outward, f"{share:.2f}".lstrip("0"), color=INK, fontsize="small"
        )
    label = side.label.format(AXES[side.end])
    add_text_beside(axes, (start + end) / 2, 19 * outward, label, rotation=side.angle)


def add_text_beside(
    axes: Axes, position: Points, offset: Points | tuple[float, float], text: str, **text_style: Any
) -> None:
    """Write text centred ``offset`` points from a position, at any size of the figure."""
    axes.annotate(
        text,
        (float(position[0]), float(position[1])),
        xytext=(float(offset[0]), float(offset[1])),
        textcoords="offset points",
        ha="center",
        va="center",
        **text_style,
    )


def marker_style(references: tuple[str, ...]) -> dict[str, Any]:
    """Return the marker of a point: its first reference's, or a small circle."""
    shape = REFERENCE_MARKERS.get(references[0], "h") if references else "o"
    return {
        "marker": shape,
        "markersize": (9.5 if shape == "*" else 6.5) if references else 4.5,
        "markeredgecolor": "black" if references else "white",
        "markeredgewidth": 0.8 if references else 0.6,
        "linestyle": "none",
    }


def legend_handle(label: str, style: dict[str, Any]) -> Line2D:
    """Return a grey mark of this style for a legend."""
    return Line2D([], [], **{"color": "#c8c8c8", **style}, label=label)


def references_of(roles: Iterable[str]) -> tuple[str, ...]:
    """Return the references among roles (joined by "+"), in the order of every legend."""
    names = {name for joined in roles for name in str(joined).split("+")} - {SEARCHED}
    return tuple(sorted(names, key=lambda name: (*legend_order([name]), name)))


def reference_handles(reference_sets: Iterable[tuple[str, ...]]) -> list[Line2D]:
    """Return a legend mark for each set of references, without the empty one."""
    names = sorted({names for names in reference_sets if names}, key=legend_order)
    return [legend_handle(references_text(each), marker_style(each)) for each in names]


def draw_legend(axes: Axes, handles: Sequence[Any], columns: int, **style: Any) -> None:
    """Draw a legend below the labels of the triangle."""
    root_figure = axes.figure.get_figure(root=True)
    under_labels = ScaledTranslation(0, -25 / 72, root_figure.dpi_scale_trans)
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.55, 0.0),
        bbox_transform=axes.transAxes + under_labels,
        ncols=columns,
        columnspacing=1.0,
        **style,
    )


def draw_colour_bar(
    axes: Axes, colours: ScalarMappable, box: tuple[float, float, float, float]
) -> None:
    """Draw the colour bar of accuracies; ``box``: in units of the axes."""
    colour_bar = axes.figure.colorbar(colours, cax=axes.inset_axes(box))
    colour_bar.set_label("accuracy")
    colour_bar.outline.set_visible(False)
