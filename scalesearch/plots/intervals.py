"""Each coefficient with its interval, beside the paper's and all it could be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.plots.style import ACCENT, BLUE, COLUMN, FAINT, INK, figure, style, width_of
from scalesearch.published import SCHEMES

AXIS_OF = {"alpha": "depth", "beta": "width", "gamma": "resolution"}
SIGNS = {"alpha": "\N{GREEK SMALL LETTER ALPHA}", "beta": "\N{GREEK SMALL LETTER BETA}"}
SIGNS["gamma"] = "\N{GREEK SMALL LETTER GAMMA}"


@dataclass(frozen=True, slots=True)
class Row:
    """A coefficient: its value and the bounds of its interval, what the ``paper``'s is for the same
    factor, and the ``least`` and ``most`` it can be where growing is all that is done."""

    name: str
    value: float
    low: float
    high: float
    paper: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """``rows`` of alpha, beta, gamma; ``confidence``: with which the intervals hold each."""

    rows: tuple[Row, ...]
    factor: float
    confidence: float


def intervals(
    estimate: Mapping[str, Mapping[str, float]],
    factor: float,
    *,
    level: float = 0.1,
) -> Intervals:
    """From ``{alpha: {value, low, high}, ...}`` of a budget of ``factor``."""
    published = SCHEMES["paper"].coefficients(factor)
    rows = []
    for name in AXIS_OF:
        found, ends = estimate[name], (1.0, factor ** (1.0 if name == "alpha" else 0.5))
        rows.append(
            Row(
                name=name,
                value=found["value"],
                low=found["low"],
                high=found["high"],
                paper=getattr(published, name),
                least=min(ends),
                most=max(ends),
            )
        )
    return Intervals(tuple(rows), factor, 1 - level)


def intervals_figure(data: Intervals, width: float = COLUMN) -> Figure:
    """The whole figure in the house style."""
    with style():
        drawn = figure(width, 0.32 * width + 0.85)
        plot_intervals(data, drawn.add_subplot())
    return drawn


def plot_intervals(data: Intervals, axes: Axes) -> None:
    """A line for each coefficient, with its value and interval in words above it."""
    line: dict[str, Any] = {"solid_capstyle": "butt"}
    for y, row in enumerate(data.rows):
        axes.plot([row.least, row.most], [y, y], color=FAINT, linewidth=0.6, zorder=1)
        for end in (row.least, row.most):
            axes.plot([end, end], [y - 0.12, y + 0.12], color=FAINT, linewidth=0.6, zorder=1)
        axes.plot([row.low, row.high], [y, y], color=ACCENT, linewidth=2.6, zorder=2, **line)
        axes.plot(row.value, y, "o", color=ACCENT, markeredgecolor="white", markersize=6, zorder=4)
        axes.plot(row.paper, y, "*", color=BLUE, markeredgecolor="white", markersize=9, zorder=3)
        words = f"{row.value:.2f}  [{row.low:.2f}, {row.high:.2f}]"
        axes.text(row.least, y - 0.27, words, va="bottom", color=INK)
    names = [f"{SIGNS[row.name]}  {AXIS_OF[row.name]}" for row in data.rows]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.55, -0.75)
    axes.set_xlabel(f"coefficient, for {data.factor:g} times the cost")
    axes.set_title(f"Coefficients with {data.confidence:.0%} intervals")
    _draw_legend(data, axes)


def _draw_legend(data: Intervals, axes: Axes) -> None:
    axes.plot([], [], "o-", color=ACCENT, markersize=4, label="estimate")
    axes.plot([], [], "*", color=BLUE, markersize=7, label="the paper's")
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.3 if width_of(axes) < 5 else -0.18),
        ncols=3,
        columnspacing=1.2,
        handlelength=1.6,
    )
