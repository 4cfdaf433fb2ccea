"""The triangle of shares: its frame, where shares lie in it, and how what lies there is marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from scalesearch.plots.style import ACCENT, FAINT, INK

Points: TypeAlias = NDArray[np.float64]

AXES = ("depth", "width", "resolution")
CORNERS: Points = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Where all of the budget is spent on depth, on width, on resolution."""

REFERENCE_MARKERS = {"depth": "s", "width": "D", "resolution": "^", "uniform": "p", "paper": "*"}
REFERENCE_NAMES = {axis: f"{axis} only" for axis in AXES}
STOPPED_MARKER: dict[str, Any] = {
    "marker": "x",
    "markersize": 3.5,
    "color": INK,
    "linestyle": "none",
}
BEST_MARKER: dict[str, Any] = {
    "marker": "o",
    "markersize": 12,
    "markerfacecolor": "none",
    "markeredgecolor": ACCENT,
    "markeredgewidth": 1.5,
    "linestyle": "none",
}


class TriangleSide(NamedTuple):
    """A side of the triangle, by corner numbers; along it the share of ``end`` grows to one."""

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
    """By which marks are in one order in every legend."""
    order = [*REFERENCE_MARKERS]
    return [order.index(name) if name in order else len(order) for name in references]


def references_text(references: Sequence[str]) -> str:
    """The parts a candidate plays, for people."""
    return ", ".join(REFERENCE_NAMES.get(name, name) for name in references)


def cartesian(shares: Sequence[tuple[float, float, float]]) -> Points:
    """Shares as x, y in the plane of ``CORNERS``: one row for each."""
    return np.array(shares, dtype=np.float64).reshape(-1, 3) @ CORNERS


def draw_frame(axes: Axes) -> None:
    """The triangle, its grid at quarters, and beside each side the share that grows along it."""
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
        add_text_beside(axes, tick, 8 * outward, f"{share:.2f}".lstrip("0"), color=INK, fontsize="small")
    label = side.label.format(AXES[side.end])
    add_text_beside(axes, (start + end) / 2, 19 * outward, label, rotation=side.angle)


def add_text_beside(
    axes: Axes, position: Points, offset: Points | tuple[float, float], text: str, **text_style: Any
) -> None:
    """Text whose middle is ``offset`` points from a place, whatever the size of the figure."""
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
    """Marker of a point: its first reference's, or a small circle."""
    shape = REFERENCE_MARKERS.get(references[0], "h") if references else "o"
    return {
        "marker": shape,
        "markersize": (9.5 if shape == "*" else 6.5) if references else 4.5,
        "markeredgecolor": "black" if references else "white",
        "markeredgewidth": 0.8 if references else 0.6,
        "linestyle": "none",
    }


def legend_handle(label: str, style: dict[str, Any]) -> Line2D:
    """A mark of such form, in grey, for a legend."""
    return Line2D([], [], **{"color": "#c8c8c8", **style}, label=label)
