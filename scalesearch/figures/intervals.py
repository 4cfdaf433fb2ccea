"""Each coefficient with its interval, the paper's value, and its possible range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    COLUMN,
    FAINT,
    INK,
    figure_style,
    figure_width,
    new_figure,
)
from scalesearch.scaling.published import SCHEMES

AXIS_OF_COEFFICIENT = {"alpha": "depth", "beta": "width", "gamma": "resolution"}
GREEK_LETTERS = {"alpha": "\N{GREEK SMALL LETTER ALPHA}", "beta": "\N{GREEK SMALL LETTER BETA}"}
GREEK_LETTERS["gamma"] = "\N{GREEK SMALL LETTER GAMMA}"


@dataclass(frozen=True, slots=True)
class CoefficientRow:
    """A coefficient with the bounds of its interval.

    ``paper``: the paper's value for the same factor. ``minimum`` and ``maximum``: the range for
    growth alone.
    """

    name: str
    value: float
    low: float
    high: float
    paper: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class CoefficientIntervals:
    """Rows of alpha, beta and gamma; each interval holds with ``confidence``."""

    rows: tuple[CoefficientRow, ...]
    factor: float
    confidence: float


def coefficient_intervals(
    estimate: Mapping[str, Mapping[str, float]],
    factor: float,
    *,
    level: float = 0.1,
) -> CoefficientIntervals:
    """Return the intervals of ``{alpha: {value, low, high}, ...}``, for the figure.

    ``factor``: the budget's.
    """
    published = SCHEMES["paper"].coefficients(factor)
    rows = []
    for name in AXIS_OF_COEFFICIENT:
        estimated, extremes = estimate[name], (1.0, factor ** (1.0 if name == "alpha" else 0.5))
        rows.append(
            CoefficientRow(
                name=name,
                value=estimated["value"],
                low=estimated["low"],
                high=estimated["high"],
                paper=getattr(published, name),
                minimum=min(extremes),
                maximum=max(extremes),
            )
        )
    return CoefficientIntervals(tuple(rows), factor, 1 - level)


def coefficient_intervals_figure(data: CoefficientIntervals, width: float = COLUMN) -> Figure:
    """Return the whole figure in the project's style."""
    with figure_style():
        fig = new_figure(width, 0.32 * width + 0.85)
        plot_coefficient_intervals(data, fig.add_subplot())
    return fig


def plot_coefficient_intervals(data: CoefficientIntervals, axes: Axes) -> None:
    """Draw a line for each coefficient, with its value and interval as text above it."""
    line: dict[str, Any] = {"solid_capstyle": "butt"}
    for y, row in enumerate(data.rows):
        axes.plot([row.minimum, row.maximum], [y, y], color=FAINT, linewidth=0.6, zorder=1)
        for end in (row.minimum, row.maximum):
            axes.plot([end, end], [y - 0.12, y + 0.12], color=FAINT, linewidth=0.6, zorder=1)
        axes.plot([row.low, row.high], [y, y], color=ACCENT, linewidth=2.6, zorder=2, **line)
        axes.plot(row.value, y, "o", color=ACCENT, markeredgecolor="white", markersize=6, zorder=4)
        axes.plot(row.paper, y, "*", color=BLUE, markeredgecolor="white", markersize=9, zorder=3)
        text = f"{row.value:.2f}  [{row.low:.2f}, {row.high:.2f}]"
        axes.text(row.minimum, y - 0.27, text, va="bottom", color=INK)
    names = [f"{GREEK_LETTERS[row.name]}  {AXIS_OF_COEFFICIENT[row.name]}" for row in data.rows]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.55, -0.75)
    axes.set_xlabel(f"coefficient, for {data.factor:g} times the cost")
    axes.set_title(f"Coefficients with {data.confidence:.0%} intervals")
    _draw_legend(data, axes)


def _draw_legend(data: CoefficientIntervals, axes: Axes) -> None:
    axes.plot([], [], "o-", color=ACCENT, markersize=4, label="estimate")
    axes.plot([], [], "*", color=BLUE, markersize=7, label="the paper's")
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.3 if figure_width(axes) < 5 else -0.18),
        ncols=3,
        columnspacing=1.2,
        handlelength=1.6,
    )
