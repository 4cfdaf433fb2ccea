"""The triangle of shares: its frame, where shares lie in it, and how what lies there is marked.

Accuracy against how the budget is shared out: a triangle whose corners are the three axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from matplotlib.tri import TriAnalyzer, Triangulation
from numpy.typing import NDArray

from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    COLOUR_MAP,
    COLUMN,
    FAINT,
    INK,
    figure_style,
    new_figure,
)

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
    """Return the parts a candidate plays, for people."""
    return ", ".join(REFERENCE_NAMES.get(name, name) for name in references)


def cartesian(shares: Sequence[tuple[float, float, float]]) -> Points:
    """Shares as x, y in the plane of ``CORNERS``: one row for each."""
    return np.array(shares, dtype=np.float64).reshape(-1, 3) @ CORNERS


def colour_limits(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the accuracies at both ends of the colour scale; they differ even if all are equal."""
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
    """Return a mark of such form, in grey, for a legend."""
    return Line2D([], [], **{"color": "#c8c8c8", **style}, label=label)


SEARCHED = "searched"


@dataclass(frozen=True, slots=True)
class SimplexPoint:
    """A candidate at the last epoch.

    ``accuracy``: mean over ``seeds`` runs. ``standard_error``: of that mean; None for a single run.
    ``references``: roles beside being searched.
    """

    candidate: str
    shares: tuple[float, float, float]
    accuracy: float
    standard_error: float | None
    seeds: int
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimplexData:
    """Points trained to ``epoch``, the best first.

    ``stopped``: shares of the candidates stopped before; they are not compared.
    """

    points: tuple[SimplexPoint, ...]
    stopped: tuple[tuple[float, float, float], ...]
    epoch: int

    @property
    def best(self) -> SimplexPoint:
        """The point of highest mean accuracy; ties go to the smaller fingerprint."""
        return self.points[0]

    @property
    def standard_error(self) -> float | None:
        """The typical standard error of a point: the root of the mean square; None if unknown."""
        errors = [p.standard_error for p in self.points if p.standard_error is not None]
        return float(np.sqrt(np.mean(np.square(errors)))) if errors else None

    @property
    def seeds_text(self) -> str:
        """``3 seeds``, or ``2-3 seeds`` where some candidates have fewer runs."""
        least, most = (bound(p.seeds for p in self.points) for bound in (min, max))
        span = str(most) if least == most else f"{least}-{most}"
        return f"{span} seed{'' if most == 1 else 's'}"


def simplex(records: pd.DataFrame, *, epoch: int | None = None) -> SimplexData:
    """Mean accuracy of each candidate at ``epoch``, by default the last that any reached.

    Raises SearchError where the table has no row of that epoch.
    """
    last = int(records["epoch"].max()) if epoch is None and len(records) else epoch
    final = records[records["epoch"] == last]
    if last is None or final.empty:
        raise SearchError(f"records: need rows of epoch {last}, got none; finish a run first")
    points = [_point(str(name), rows) for name, rows in final.groupby("candidate")]
    points.sort(key=lambda point: (-point.accuracy, point.candidate))
    others = records[~records["candidate"].isin(final["candidate"])]
    stopped = tuple(_shares(rows) for _, rows in others.groupby("candidate"))
    return SimplexData(tuple(points), stopped, last)


def simplex_figure(data: SimplexData, width: float = COLUMN) -> Figure:
    """Return the whole figure in the house style, ``width`` inches wide."""
    with figure_style():
        fig = new_figure(width, 0.62 * width + 1.35)
        plot_simplex(data, fig.add_subplot())
    return fig


def plot_simplex(data: SimplexData, axes: Axes) -> None:
    """Draw the triangle, the surface between the points, the points, a legend and a colour bar.

    The surface is linear between measured points (no smoothing), and is left out where they do not
    span an area. Names stand in the legend, so that they cannot collide.
    """
    draw_frame(axes)
    colours = _draw_surface(data, axes)
    _draw_points(data, axes, colours)
    _draw_legend(data, axes)
    colour_bar = axes.figure.colorbar(colours, cax=axes.inset_axes((1.1, 0.1, 0.04, 0.85)))
    colour_bar.set_label("accuracy")
    colour_bar.outline.set_visible(False)
    axes.set_title(_caption(data), pad=23)


def point_triangulation(data: SimplexData) -> Triangulation | None:
    """Triangles between the points, the slivers along the hull left out; None without an area."""
    positions = cartesian([point.shares for point in data.points])
    if (
        len(positions) < 3
        or np.linalg.matrix_rank(positions - positions.mean(axis=0), tol=1e-6) < 2
    ):
        return None
    triangles = Triangulation(positions[:, 0], positions[:, 1])
    triangles.set_mask(TriAnalyzer(triangles).get_flat_tri_mask(0.02))
    return triangles


def _point(candidate: str, rows: pd.DataFrame) -> SimplexPoint:
    runs = len(rows)
    roles = {role for roles in rows["role"] for role in str(roles).split("+")} - {SEARCHED}
    order = [*REFERENCE_MARKERS, *sorted(roles - set(REFERENCE_MARKERS))]
    return SimplexPoint(
        candidate=candidate,
        shares=_shares(rows),
        accuracy=float(rows["accuracy"].mean()),
        standard_error=float(rows["accuracy"].std(ddof=1) / np.sqrt(runs)) if runs > 1 else None,
        seeds=runs,
        references=tuple(role for role in order if role in roles),
    )


def _shares(rows: pd.DataFrame) -> tuple[float, float, float]:
    depth, width, resolution = (float(rows[f"{axis}_share"].iloc[0]) for axis in AXES)
    return depth, width, resolution


def _caption(data: SimplexData) -> str:
    error = data.standard_error
    spread = "no standard error" if error is None else f"standard error ±{error:.3f}"
    return f"mean of {data.seeds_text}, epoch {data.epoch}\n{spread}"


def _draw_surface(data: SimplexData, axes: Axes) -> ScalarMappable:
    accuracies = np.array([point.accuracy for point in data.points])
    low, high = colour_limits(accuracies.tolist())
    colours = ScalarMappable(Normalize(low, high), COLOUR_MAP)
    triangles = point_triangulation(data)
    if triangles is not None:
        axes.tricontourf(
            triangles,
            accuracies,
            levels=np.linspace(low, high, 13),
            norm=colours.norm,
            cmap=colours.cmap,
            zorder=1,
        )
    return colours


def _draw_points(data: SimplexData, axes: Axes, colours: ScalarMappable) -> None:
    positions = cartesian([point.shares for point in data.points])
    shades = colours.to_rgba(np.array([point.accuracy for point in data.points]))
    for point, (x, y), colour in zip(data.points, positions, shades, strict=True):
        axes.plot(x, y, **marker_style(point.references), color=colour, zorder=5, clip_on=False)
    axes.plot(*cartesian(data.stopped).T, **STOPPED_MARKER, zorder=4, clip_on=False)
    axes.plot(*positions[0], **BEST_MARKER, zorder=6, clip_on=False)


def _draw_legend(data: SimplexData, axes: Axes) -> None:
    reference_sets = sorted(
        {point.references for point in data.points if point.references}, key=legend_order
    )
    best = f"best, {data.best.accuracy:.3f}"
    handles = [legend_handle(best, {**BEST_MARKER, "markersize": 8})]
    if any(not point.references for point in data.points):
        handles.append(legend_handle("searched", marker_style(())))
    handles += [
        legend_handle(references_text(names), marker_style(names)) for names in reference_sets
    ]
    if data.stopped:
        handles.append(legend_handle("stopped early", STOPPED_MARKER))
    root_figure = axes.figure.get_figure(root=True)
    under_labels = ScaledTranslation(0, -25 / 72, root_figure.dpi_scale_trans)
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.55, 0.0),
        bbox_transform=axes.transAxes + under_labels,
        ncols=max(2, int(root_figure.get_figwidth() / 1.1)),
        columnspacing=1.0,
        handletextpad=0.3,
    )
