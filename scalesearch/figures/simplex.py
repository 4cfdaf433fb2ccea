"""Accuracy over the triangle of shares, linear between the measured points."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.tri import TriAnalyzer, Triangulation

from scalesearch.analysis.polynomials import AXES
from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    COLOUR_MAP,
    COLUMN,
    figure_style,
    figure_width,
    new_figure,
)
from scalesearch.figures.triangle import (
    STOPPED_MARKER,
    cartesian,
    colour_limits,
    draw_colour_bar,
    draw_frame,
    draw_legend,
    legend_handle,
    marker_style,
    reference_handles,
    references_of,
)

BEST_MARKER: dict[str, Any] = {
    "marker": "o",
    "markersize": 12,
    "markerfacecolor": "none",
    "markeredgecolor": ACCENT,
    "markeredgewidth": 1.5,
    "linestyle": "none",
}


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
        """Root mean square of the points' standard errors; None if unknown."""
        errors = [p.standard_error for p in self.points if p.standard_error is not None]
        return float(np.sqrt(np.mean(np.square(errors)))) if errors else None

    @property
    def seeds_text(self) -> str:
        """``3 seeds``, or ``2-3 seeds`` if some candidates have fewer runs."""
        least, most = (bound(p.seeds for p in self.points) for bound in (min, max))
        span = str(most) if least == most else f"{least}-{most}"
        return f"{span} seed{'' if most == 1 else 's'}"


def simplex(records: pd.DataFrame, *, epoch: int | None = None) -> SimplexData:
    """Return the mean accuracy of each candidate at ``epoch``, by default the last.

    Raises SearchError if the table has no row of that epoch.
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
    """Draw the triangle, the surface, the points, a legend and a colour bar.

    The surface is linear between measured points (no smoothing), and is left out if they do not
    span an area. Names stand in the legend, so that they cannot collide.
    """
    draw_frame(axes)
    colours = _draw_surface(data, axes)
    draw_points(data, axes, colours)
    axes.plot(*cartesian([data.best.shares]).T, **BEST_MARKER, zorder=6, clip_on=False)
    _draw_legend(data, axes)
    draw_colour_bar(axes, colours, (1.1, 0.1, 0.04, 0.85))
    axes.set_title(_caption(data), pad=23)


def point_triangulation(data: SimplexData) -> Triangulation | None:
    """Return the triangles between points, without slivers; None without an area."""
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
    return SimplexPoint(
        candidate=candidate,
        shares=_shares(rows),
        accuracy=float(rows["accuracy"].mean()),
        standard_error=float(rows["accuracy"].std(ddof=1) / np.sqrt(runs)) if runs > 1 else None,
        seeds=runs,
        references=references_of(rows["role"]),
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


def draw_points(data: SimplexData, axes: Axes, colours: ScalarMappable) -> None:
    """Draw the trained points in their accuracies' colours, and the stopped ones."""
    positions = cartesian([point.shares for point in data.points])
    shades = colours.to_rgba(np.array([point.accuracy for point in data.points]))
    for point, (x, y), colour in zip(data.points, positions, shades, strict=True):
        zorder = 5.5 if point.references else 5
        axes.plot(
            x, y, **marker_style(point.references), color=colour, zorder=zorder, clip_on=False
        )
    axes.plot(*cartesian(data.stopped).T, **STOPPED_MARKER, zorder=4, clip_on=False)


def _draw_legend(data: SimplexData, axes: Axes) -> None:
    best = f"best, {data.best.accuracy:.3f}"
    handles = [legend_handle(best, {**BEST_MARKER, "markersize": 8})]
    if any(not point.references for point in data.points):
        handles.append(legend_handle("searched", marker_style(())))
    handles += reference_handles(point.references for point in data.points)
    if data.stopped:
        handles.append(legend_handle("stopped early", STOPPED_MARKER))
    draw_legend(axes, handles, max(2, int(figure_width(axes) / 1.1)), handletextpad=0.3)
