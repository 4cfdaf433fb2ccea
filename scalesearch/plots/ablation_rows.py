"""An ablation's table as a figure: each row here, and as the paper prints it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.errors import SearchError
from scalesearch.plots.ablations import PERCENT, add_title
from scalesearch.plots.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, new_figure, figure_style


@dataclass(frozen=True, slots=True)
class AblationBar:
    """A row of a table. ``cost``: over the baseline's; ``paper_*``: None where none is printed."""

    baseline: str
    series: str
    accuracy: float
    low: float
    high: float
    cost: float
    paper_accuracy: float | None
    paper_cost: float | None
    is_reference: bool


def ablation_bars(table: pd.DataFrame, against: str | None = None) -> tuple[AblationBar, ...]:
    """From an ablation's table, in its order. Raises SearchError for an empty one."""
    if table.empty:
        raise SearchError("ablation: need a network to draw, got none; train first")
    baseline_macs = table.groupby("baseline")["recounted_macs"].first()
    return tuple(
        AblationBar(
            baseline=row["baseline"],
            series=row["series"],
            accuracy=row["accuracy"],
            low=row["accuracy"] if pd.isna(row["low"]) else row["low"],
            high=row["accuracy"] if pd.isna(row["high"]) else row["high"],
            cost=row["factor"],
            paper_accuracy=None if pd.isna(row["paper_accuracy"]) else row["paper_accuracy"],
            paper_cost=None
            if pd.isna(row["recounted_macs"])
            else row["recounted_macs"] / baseline_macs[row["baseline"]],
            is_reference=row["series"] == against,
        )
        for row in table.to_dict("records")
    )


def ablation_rows_figure(data: Sequence[AblationBar], title: str) -> Figure:
    """Each row of a table: here, with its 90% interval and cost, and as the paper prints it."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 0.9 + 0.22 * len(data))
        own_axes, paper_axes = fig.subplots(1, 2, sharey=True)
        plot_ablation_bars(data, own_axes)
        plot_paper_bars(data, paper_axes)
        has_several_baselines = len({bar.baseline for bar in data}) > 1
        names = [f"{bar.baseline} {bar.series}" if has_several_baselines else bar.series for bar in data]
        own_axes.set_yticks(range(len(data)), names)
        own_axes.set_ylim(len(data) - 0.4, -0.6)
        for index in range(1, len(data)):
            if data[index].baseline != data[index - 1].baseline:
                for axes in (own_axes, paper_axes):
                    axes.axhline(index - 0.5, color=FAINT, linewidth=0.5)
        own_axes.set_title("here")
        paper_axes.set_title("in the paper, on ImageNet")
        add_title(fig, title)
    return fig


def plot_ablation_bars(data: Sequence[AblationBar], axes: Axes) -> None:
    """Accuracy with its interval, and the realised cost beside it."""
    for index, bar in enumerate(data):
        colour = ACCENT if bar.is_reference else INK
        axes.plot([bar.low, bar.high], [index, index], color=colour, linewidth=1.2)
        axes.plot([bar.accuracy], [index], "o", color=colour, markersize=4)
        axes.annotate(
            f"{bar.cost:.2f}x",
            (bar.high, index),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
        )
    axes.margins(x=0.22)
    _format_accuracy_axis(axes)
    axes.set_xlabel("validation accuracy (realised cost / baseline's)")


def plot_paper_bars(data: Sequence[AblationBar], axes: Axes) -> None:
    """Accuracies as printed, and beside each the cost of the paper's network, recounted."""
    for index, bar in enumerate(data):
        if bar.paper_accuracy is None:
            continue
        colour = ACCENT if bar.is_reference else INK
        axes.plot([bar.paper_accuracy], [index], "o", color=colour, markersize=4, fillstyle="none")
        if bar.paper_cost is not None:
            axes.annotate(
                f"{bar.paper_cost:.2f}x",
                (bar.paper_accuracy, index),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
    axes.margins(x=0.22)
    _format_accuracy_axis(axes)
    axes.set_xlabel("top-1 accuracy (cost recounted / baseline's)")


def _format_accuracy_axis(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
