"""An ablation's table as a figure: each row here, and as the paper prints it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.errors import SearchError
from scalesearch.plots.ablations import PERCENT, entitle
from scalesearch.plots.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, figure, style


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a table. ``cost``: over the baseline's; ``paper_*``: None where none is printed."""

    baseline: str
    series: str
    accuracy: float
    low: float
    high: float
    cost: float
    paper_accuracy: float | None
    paper_cost: float | None
    leads: bool


def bars(table: pd.DataFrame, against: str | None = None) -> tuple[Bar, ...]:
    """From an ablation's table, in its order. Raises SearchError for an empty one."""
    if table.empty:
        raise SearchError("ablation: need a network to draw, got none; train first")
    first = table.groupby("baseline")["recounted_macs"].first()
    return tuple(
        Bar(
            baseline=row["baseline"],
            series=row["series"],
            accuracy=row["accuracy"],
            low=row["accuracy"] if pd.isna(row["low"]) else row["low"],
            high=row["accuracy"] if pd.isna(row["high"]) else row["high"],
            cost=row["factor"],
            paper_accuracy=None if pd.isna(row["paper_accuracy"]) else row["paper_accuracy"],
            paper_cost=None
            if pd.isna(row["recounted_macs"])
            else row["recounted_macs"] / first[row["baseline"]],
            leads=row["series"] == against,
        )
        for row in table.to_dict("records")
    )


def rows_figure(data: Sequence[Bar], title: str) -> Figure:
    """Each row of a table: here, with its 90% interval and cost, and as the paper prints it."""
    with style():
        drawn = figure(DOUBLE_COLUMN, 0.9 + 0.22 * len(data))
        here, there = drawn.subplots(1, 2, sharey=True)
        plot_bars(data, here)
        plot_printed(data, there)
        several = len({bar.baseline for bar in data}) > 1
        names = [f"{bar.baseline} {bar.series}" if several else bar.series for bar in data]
        here.set_yticks(range(len(data)), names)
        here.set_ylim(len(data) - 0.4, -0.6)
        for place in range(1, len(data)):
            if data[place].baseline != data[place - 1].baseline:
                for axes in (here, there):
                    axes.axhline(place - 0.5, color=FAINT, linewidth=0.5)
        here.set_title("here")
        there.set_title("in the paper, on ImageNet")
        entitle(drawn, title)
    return drawn


def plot_bars(data: Sequence[Bar], axes: Axes) -> None:
    """Accuracy with its interval, and the realised cost beside it."""
    for place, bar in enumerate(data):
        colour = ACCENT if bar.leads else INK
        axes.plot([bar.low, bar.high], [place, place], color=colour, linewidth=1.2)
        axes.plot([bar.accuracy], [place], "o", color=colour, markersize=4)
        axes.annotate(
            f"{bar.cost:.2f}x",
            (bar.high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
        )
    axes.margins(x=0.22)
    _accuracies(axes)
    axes.set_xlabel("validation accuracy (realised cost / baseline's)")


def plot_printed(data: Sequence[Bar], axes: Axes) -> None:
    """Accuracies as printed, and beside each the cost of the paper's network, recounted."""
    for place, bar in enumerate(data):
        if bar.paper_accuracy is None:
            continue
        colour = ACCENT if bar.leads else INK
        axes.plot([bar.paper_accuracy], [place], "o", color=colour, markersize=4, fillstyle="none")
        if bar.paper_cost is not None:
            axes.annotate(
                f"{bar.paper_cost:.2f}x",
                (bar.paper_accuracy, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
    axes.margins(x=0.22)
    _accuracies(axes)
    axes.set_xlabel("top-1 accuracy (cost recounted / baseline's)")


def _accuracies(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
