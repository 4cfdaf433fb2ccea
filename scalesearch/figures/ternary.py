"""The fitted surface over the triangle of shares, with its optimum and region."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.tri import Triangulation
from numpy.typing import NDArray
from scipy.special import stdtrit

from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.optimum import Optimum, curved_polynomial_fits
from scalesearch.analysis.polynomials import polynomial_terms, simplex_lattice
from scalesearch.figures.simplex import SimplexData, draw_points, simplex
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
)

CONTOUR_LEVELS = 13
LATTICE_STEPS = 36
"""Steps of the lattice on which the surface is drawn."""
REGION_STYLE: dict[str, Any] = {"color": ACCENT, "linewidth": 1.4, "zorder": 4.2, "clip_on": False}
OPTIMUM_MARKER: dict[str, Any] = {
    "marker": "X",
    "markersize": 7.5,
    "color": ACCENT,
    "markeredgecolor": "white",
    "markeredgewidth": 0.8,
    "linestyle": "none",
    "clip_on": False,
}


@dataclass(frozen=True, slots=True, eq=False)
class Ternary:
    """The fitted surface on a lattice over the shares.

    ``shares`` (N, 3): the lattice, with the surface's ``means`` there. ``margins``: how much worse
    each point is than the bound of what is within noise of the optimum; a point with a margin of 0
    or less is as good. ``region``: corners of the region that holds the optimum with
    ``confidence``.
    ``is_undecided``: whether the shares make no detectable difference. ``trained``: the points.
    """

    trained: SimplexData
    shares: NDArray[np.float64]
    means: NDArray[np.float64]
    margins: NDArray[np.float64]
    is_undecided: bool
    optimum: tuple[float, float, float]
    region: tuple[tuple[float, float, float], ...]
    confidence: float

    @property
    def has_outline(self) -> bool:
        """Whether a part of the triangle is as good as the optimum, and a part is not."""
        return not self.is_undecided and bool(self.margins.min() <= 0 < self.margins.max())


def ternary(records: pd.DataFrame, optimum: Optimum, *, epoch: int | None = None) -> Ternary:
    """Return the fitted surface behind an optimum of these records at ``epoch``.

    Raises SearchError if the records determine no such surface.
    """
    trained = simplex(records, epoch=epoch)
    fit = curved_polynomial_fits(candidate_estimates(records, epochs=trained.epoch))[optimum.degree]
    shares, best = simplex_lattice(fit.axes, LATTICE_STEPS), np.array([optimum.shares.as_tuple()])
    contrasts = polynomial_terms(best, fit.degree, fit.axes) - polynomial_terms(
        shares, fit.degree, fit.axes
    )
    errors = np.sqrt(np.einsum("np,pq,nq->n", contrasts, fit.covariance, contrasts).clip(0))
    return Ternary(
        trained=trained,
        shares=shares,
        means=fit.predict(shares)[0],
        margins=contrasts @ fit.coefficients - float(stdtrit(fit.df, 1 - optimum.level)) * errors,
        is_undecided=optimum.p_flat > optimum.level,
        optimum=optimum.shares.as_tuple(),
        region=optimum.region,
        confidence=1 - optimum.level,
    )


def ternary_figure(data: Ternary, width: float = COLUMN) -> Figure:
    """Return the whole figure in the house style, ``width`` inches wide."""
    with figure_style():
        fig = new_figure(width, 0.62 * width + 0.95 + 0.15 * -(-9 // _legend_columns(width)))
        fig.set_layout_engine("constrained", w_pad=0.09)  # room for what stands beside the triangle
        plot_ternary(data, fig.add_subplot())
    return fig


def plot_ternary(data: Ternary, axes: Axes) -> None:
    """Draw the surface, the trained networks, the optimum and its region."""
    draw_frame(axes)
    colours = _colours(data)
    positions = cartesian([tuple(point) for point in data.shares])
    if np.linalg.matrix_rank(positions - positions.mean(axis=0), tol=1e-6) == 2:
        _draw_surface(data, Triangulation(*positions.T), axes, colours)
    draw_points(data.trained, axes, colours)
    axes.plot(*cartesian([*data.region, data.region[0]]).T, **REGION_STYLE)
    axes.plot(*cartesian([data.optimum]).T, **OPTIMUM_MARKER, zorder=7)
    _draw_legend(data, axes)
    draw_colour_bar(axes, colours, (1.07, 0.12, 0.04, 0.83))
    axes.set_title(_caption(data), pad=23)


def _colours(data: Ternary) -> ScalarMappable:
    accuracies = [*data.means.tolist(), *(point.accuracy for point in data.trained.points)]
    return ScalarMappable(Normalize(*colour_limits(accuracies)), COLOUR_MAP)


def _draw_surface(
    data: Ternary, triangles: Triangulation, axes: Axes, colours: ScalarMappable
) -> None:
    norm = colours.norm
    levels = np.linspace(norm.vmin or 0.0, norm.vmax or 0.0, CONTOUR_LEVELS)
    filled: dict[str, Any] = {"norm": norm, "cmap": colours.cmap, "zorder": 1}
    axes.tricontourf(triangles, data.means, levels=levels, **filled)
    if data.has_outline:
        least = float(data.margins.min())
        hatched: dict[str, Any] = {"levels": [least - 1, 0], "colors": "none", "hatches": ["////"]}
        lines = axes.tricontourf(triangles, data.margins, **hatched)
        lines.set(edgecolor="white", linewidth=0.0, zorder=1.6)
        line: dict[str, Any] = {"colors": "white", "linewidths": 0.9, "zorder": 1.7}
        axes.tricontour(triangles, data.margins, levels=[0.0], **line)


def _caption(data: Ternary) -> str:
    seeds, epoch = data.trained.seeds_text, data.trained.epoch
    suffix = "\nall shares are within noise of each other" if data.is_undecided else ""
    return f"fitted surface, {seeds}, epoch {epoch}{suffix}"


def _draw_legend(data: Ternary, axes: Axes) -> None:
    handles: list[Any] = [
        legend_handle("optimum", {**OPTIMUM_MARKER, "markersize": 6}),
        legend_handle(f"its {data.confidence:.0%} region", {"color": ACCENT, "linewidth": 1.4}),
    ]
    if data.has_outline:
        patch_style: dict[str, Any] = {
            "facecolor": "#8a8678",
            "edgecolor": "white",
            "hatch": "//////",
        }
        handles.append(Patch(**patch_style, linewidth=0.0, label="as good, within noise"))
    if any(not point.references for point in data.trained.points):
        handles.append(legend_handle("trained", marker_style(())))
    handles += reference_handles(point.references for point in data.trained.points)
    if data.trained.stopped:
        handles.append(legend_handle("stopped early", STOPPED_MARKER))
    columns = _legend_columns(figure_width(axes))
    draw_legend(axes, handles, columns, handletextpad=0.4, handlelength=1.6)


def _legend_columns(width: float) -> int:
    """Return the columns of the legend in a figure of this width in inches."""
    return max(2, int(width / 1.15))
