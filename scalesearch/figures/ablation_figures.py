"""Figures of an ablation: curves with bands, and its table beside the paper's."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    COLUMN,
    DOUBLE_COLUMN,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PINK,
    ROLE_COLOURS,
    SKY_BLUE,
    figure_style,
    new_figure,
)
from scalesearch.figures.triangle import REFERENCE_MARKERS

AXIS_LABELS = {
    "factor": "realised cost / baseline's",
    "macs": "FLOPs (multiply-adds)",
    "params": "parameters",
}
OTHER_COLOURS = (SKY_BLUE, ORANGE, BLUE, GREEN, PINK)
OTHER_MARKERS = ("v", "p", "s", "D", "^")
"""Markers of the other series; ``ACCENT`` and a disc are for the series compared with."""

WIDE_COST_RATIO = 8
"""From this ratio of costs on, ticks stand at 1, 2 and 5 times powers of ten."""
LETTERS_PER_INCH = 14
"""Letters of a title that fit into an inch."""
MIN_LABEL_DISTANCE = 0.055
"""Least distance of two labels, as a fraction of the height of a one-column figure."""
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.4g}%")
"""Percentages with as many digits as the ticks need."""


@dataclass(frozen=True, slots=True)
class AblationCurve:
    """A series on a baseline, in increasing ``x``.

    ``low`` and ``high`` equal ``y`` for a single seed. ``names``: labels of the points.
    ``is_reference``: whether the other series are compared with this one.
    """

    series: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...]
    is_reference: bool = False


def ablation_curves(
    table: pd.DataFrame, x: str = "factor", against: str | None = None
) -> tuple[AblationCurve, ...]:
    """Return the curves of an ablation's table, for one baseline.

    ``x``: ``factor``, ``macs`` or ``params``. A network that occurs twice in a series is one
    point. Raises SearchError for an empty table.
    """
    if table.empty:
        raise SearchError("ablation: need a network to draw, got none; train first")
    series_curves = []
    for series, rows in table.groupby("series", sort=False):
        points = rows.drop_duplicates("candidate").sort_values([x, "accuracy"], kind="stable")
        accuracy = points["accuracy"]
        names = [
            name.removeprefix(f"{series} ").removesuffix("x") if name != series else ""
            for name in points["point"]
        ]
        series_curves.append(
            AblationCurve(
                series=str(series),
                x=tuple(points[x].astype(float)),
                y=tuple(accuracy),
                low=tuple(points["low"].astype(float).fillna(accuracy)),
                high=tuple(points["high"].astype(float).fillna(accuracy)),
                names=tuple(names),
                is_reference=series == against,
            )
        )
    return tuple(series_curves)


def spread_labels(positions: Sequence[float], min_distance: float) -> list[float]:
    """Return positions of labels, moved apart to at least ``min_distance``.

    The order stays, and labels move no further than necessary.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _lowest_position(
            groups[-1], positions, min_distance
        ) < min_distance + _highest_position(groups[-2], positions, min_distance):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [0.0] * len(positions)
    for group in groups:
        for rank, index in enumerate(group):
            moved[index] = _lowest_position(group, positions, min_distance) + rank * min_distance
    return moved


def _lowest_position(
    group: Sequence[int], positions: Sequence[float], min_distance: float
) -> float:
    """Return the position of the lowest label of a touching, centred group."""
    return (
        sum(positions[index] for index in group) / len(group) - min_distance * (len(group) - 1) / 2
    )


def _highest_position(
    group: Sequence[int], positions: Sequence[float], min_distance: float
) -> float:
    return _lowest_position(group, positions, min_distance) + min_distance * (len(group) - 1)


def ablation_curves_figure(data: Sequence[AblationCurve], title: str) -> Figure:
    """Draw all curves over the realised cost, each with its 90% band and its name."""
    with figure_style():
        fig = new_figure(COLUMN, 2.7)
        axes = fig.add_subplot()
        plot_ablation_curves(data, axes)
        axes.set_xlabel(AXIS_LABELS["factor"])
        axes.set_ylabel("validation accuracy")
        add_title(fig, title)
    return fig


def ablation_panels_figure(data: Sequence[AblationCurve], title: str) -> Figure:
    """Draw a panel for each curve with named points, on one scale of accuracy."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 2.5)
        panels = fig.subplots(1, len(data), sharex=True, sharey=True, squeeze=False)[0]
        for axes, curve in zip(panels, data, strict=True):
            plot_ablation_curves([curve], axes, with_names=False)
            for x, y, name in zip(curve.x, curve.high, curve.names, strict=True):
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=6.5,
                )
            axes.set_xlabel(AXIS_LABELS["factor"])
            axes.set_title(f"{curve.series} (points: its multiplier)")
        panels[0].set_ylabel("validation accuracy")
        add_title(fig, title)
    return fig


def ablation_costs_figure(table: pd.DataFrame, against: str | None, title: str) -> Figure:
    """Draw accuracy against parameters and against FLOPs, on one scale of accuracy."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 2.7)
        panels = fig.subplots(1, 2, sharey=True)
        for axes, x in zip(panels, ("params", "macs"), strict=True):
            plot_ablation_curves(ablation_curves(table, x, against), axes, base=10)
            axes.set_xlabel(AXIS_LABELS[x])
        panels[0].set_ylabel("validation accuracy")
        add_title(fig, title)
    return fig


def plot_ablation_curves(
    data: Sequence[AblationCurve], axes: Axes, *, with_names: bool = True, base: int = 2
) -> None:
    """Draw lines with points and bands over a logarithmic cost."""
    other_count = 0
    line_styles = []
    for curve in data:
        line_styles.append(_line_style(curve, other_count))
        other_count += curve.series not in REFERENCE_MARKERS and not curve.is_reference
    for curve, (colour, mark) in zip(data, line_styles, strict=True):
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(curve.x, curve.y, color=colour, marker=mark, markersize=3.5, zorder=3)
    _scale_cost_axis(axes, base)
    if with_names:
        _label_curves(data, [colour for colour, _ in line_styles], axes)


def count_with_unit(value: float) -> str:
    """Return a count with its unit, such as 2.5M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def add_title(fig: Figure, title: str) -> None:
    """Write a title over the whole figure, in as many lines as it needs."""
    letters = int(fig.get_figwidth() * LETTERS_PER_INCH)
    fig.suptitle("\n".join(wrap(title, letters)), x=0.01, ha="left", fontsize=8.5)


def _scale_cost_axis(axes: Axes, base: int) -> None:
    axes.set_xscale("log", base=base)
    if base == 2:
        axes.xaxis.set_major_locator(LogLocator(2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    else:
        low, high = axes.get_xlim()
        is_wide = high / low > WIDE_COST_RATIO
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)) if is_wide else MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count_with_unit(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)


def _line_style(curve: AblationCurve, other_count: int) -> tuple[str, str]:
    if curve.is_reference:
        return ACCENT, "o"
    if curve.series in REFERENCE_MARKERS:
        return ROLE_COLOURS[curve.series], REFERENCE_MARKERS[curve.series]
    return OTHER_COLOURS[other_count % len(OTHER_COLOURS)], OTHER_MARKERS[
        other_count % len(OTHER_MARKERS)
    ]


def _label_curves(data: Sequence[AblationCurve], colours: Sequence[str], axes: Axes) -> None:
    """Write each curve's name beside its last point, apart from the others."""
    low, high = axes.get_ylim()
    positions = spread_labels([curve.y[-1] for curve in data], MIN_LABEL_DISTANCE * (high - low))
    longest = max(curve.x[-1] for curve in data)
    for curve, position, colour in zip(data, positions, colours, strict=True):
        axes.annotate(
            curve.series,
            (longest, position),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold" if curve.is_reference else "normal",
            annotation_clip=False,
        )
        if curve.x[-1] < longest:
            axes.plot(
                [curve.x[-1], longest],
                [curve.y[-1], position],
                color=colour,
                linewidth=0.5,
                linestyle=":",
            )


@dataclass(frozen=True, slots=True)
class AblationBar:
    """A row of a table, with costs over the baseline's; ``paper_*`` may be None."""

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
    """Return the bars of an ablation's table; raises SearchError for an empty one."""
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
    """Draw each row with its 90% interval and cost, beside the paper's value."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 0.9 + 0.22 * len(data))
        own_axes, paper_axes = fig.subplots(1, 2, sharey=True)
        plot_ablation_bars(data, own_axes)
        plot_paper_bars(data, paper_axes)
        has_several_baselines = len({bar.baseline for bar in data}) > 1
        names = [
            f"{bar.baseline} {bar.series}" if has_several_baselines else bar.series for bar in data
        ]
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
    """Draw accuracies with their intervals, and the realised cost beside each."""
    for index, bar in enumerate(data):
        colour = ACCENT if bar.is_reference else INK
        axes.plot([bar.low, bar.high], [index, index], color=colour, linewidth=1.2)
        axes.plot([bar.accuracy], [index], "o", color=colour, markersize=4)
        _write_cost(axes, bar.cost, bar.high, index)
    _format_accuracy_axis(axes)
    axes.set_xlabel("validation accuracy (realised cost / baseline's)")


def plot_paper_bars(data: Sequence[AblationBar], axes: Axes) -> None:
    """Draw the printed accuracies, with the recounted cost of the paper's network."""
    for index, bar in enumerate(data):
        if bar.paper_accuracy is None:
            continue
        colour = ACCENT if bar.is_reference else INK
        axes.plot([bar.paper_accuracy], [index], "o", color=colour, markersize=4, fillstyle="none")
        if bar.paper_cost is not None:
            _write_cost(axes, bar.paper_cost, bar.paper_accuracy, index)
    _format_accuracy_axis(axes)
    axes.set_xlabel("top-1 accuracy (cost recounted / baseline's)")


def _write_cost(axes: Axes, cost: float, x: float, y: float) -> None:
    """Write a cost to the right of a point."""
    axes.annotate(
        f"{cost:.2f}x",
        (x, y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=6.5,
    )


def _format_accuracy_axis(axes: Axes) -> None:
    axes.margins(x=0.22)
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
