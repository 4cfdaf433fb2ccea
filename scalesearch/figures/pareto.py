"""Accuracy against cost in each measure, with lines of equal cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from scalesearch.figures.simplex import SimplexPoint, simplex
from scalesearch.figures.style import ACCENT, COLUMN, FAINT, INK, figure_style, new_figure
from scalesearch.figures.triangle import legend_handle, marker_style, reference_handles

MEASURES = {
    "macs": "FLOPs (multiply-adds)",
    "params": "parameters",
    "activations": "activations",
}
LINE_MARGIN = 0.05
"""Doublings by which candidates may lie beyond the last line."""
MIN_WIDE_FIGURE = 5.0
"""Width in inches from which the measures stand side by side."""


@dataclass(frozen=True, slots=True)
class Pareto:
    """Candidates at the last epoch and their Pareto fronts.

    ``points``: the best first. ``costs``: by measure, one for each point. ``fronts``: by measure,
    indices of the points that no other beats at the same or less cost, cheapest first. ``lines``:
    by measure and multiple, costs that are whole multiples of the baseline's. ``budget``: measure,
    factor, tolerance.
    """

    points: tuple[SimplexPoint, ...]
    costs: dict[str, tuple[float, ...]]
    fronts: dict[str, tuple[int, ...]]
    lines: dict[str, dict[float, float]]
    budget: tuple[str, float, float]
    epoch: int


def pareto(
    records: pd.DataFrame,
    baseline: Mapping[str, float],
    budget: tuple[str, float, float],
    *,
    epoch: int | None = None,
) -> Pareto:
    """Return the numbers of the figure from a results table.

    ``baseline``: its cost in each of ``MEASURES``. ``budget``: measure, factor, tolerance. Raises
    SearchError if the table has no row of that epoch.
    """
    data = simplex(records, epoch=epoch)
    candidate_rows = records.drop_duplicates("candidate").set_index("candidate")
    rows = candidate_rows.loc[[point.candidate for point in data.points]]
    costs = {measure: tuple(float(value) for value in rows[measure]) for measure in MEASURES}
    accuracy = [point.accuracy for point in data.points]
    return Pareto(
        points=data.points,
        costs=costs,
        fronts={
            measure: pareto_front(measure_costs, accuracy)
            for measure, measure_costs in costs.items()
        },
        lines={
            measure: _iso_cost_lines(measure_costs, float(baseline[measure]))
            for measure, measure_costs in costs.items()
        },
        budget=budget,
        epoch=data.epoch,
    )


def pareto_front(costs: tuple[float, ...], accuracy: list[float]) -> tuple[int, ...]:
    """Return the points better than all as cheap or cheaper, cheapest first."""
    order = sorted(range(len(costs)), key=lambda index: (costs[index], -accuracy[index]))
    front_indices: list[int] = []
    for index in order:
        if not front_indices or accuracy[index] > accuracy[front_indices[-1]]:
            front_indices.append(index)
    return tuple(front_indices)


def _iso_cost_lines(costs: tuple[float, ...], baseline: float) -> dict[float, float]:
    """Return the baseline's cost times powers of two that span the candidates."""
    low, high = np.log2(min(costs) / baseline), np.log2(max(costs) / baseline)
    powers = range(
        min(0, int(np.floor(low + LINE_MARGIN))), max(0, int(np.ceil(high - LINE_MARGIN))) + 1
    )
    return {2.0**power: 2.0**power * baseline for power in powers}


def pareto_figure(data: Pareto, width: float = COLUMN) -> Figure:
    """Draw the measures one above the other if narrow, side by side if wide."""
    with figure_style():
        if width < MIN_WIDE_FIGURE:
            fig = new_figure(width, 3 * 0.5 * width + 0.8)
            panels = fig.subplots(len(MEASURES), 1)
        else:
            fig = new_figure(width, 0.33 * width + 0.7)
            panels = fig.subplots(1, len(MEASURES), sharey=True)
        for index, (measure, axes) in enumerate(zip(MEASURES, panels, strict=True)):
            plot_pareto(data, measure, axes)
            if width < MIN_WIDE_FIGURE or index == 0:
                axes.set_ylabel("accuracy")
        panels[0].set_title(f"Accuracy and cost, epoch {data.epoch}", pad=14)
        fig.legend(
            handles=_legend_handles(data),
            loc="outside lower center",
            ncols=max(2, int(width / 1.1)),
            columnspacing=1.0,
            handletextpad=0.4,
        )
    return fig


def plot_pareto(data: Pareto, measure: str, axes: Axes) -> None:
    """Draw one measure: points with standard errors, front, lines of equal cost."""
    costs, accuracy = data.costs[measure], [point.accuracy for point in data.points]
    axes.set_xscale("log")
    budget_measure, factor, tolerance = data.budget
    lines = data.lines[measure]
    if measure == budget_measure:
        unit = next(cost / multiple for multiple, cost in lines.items())
        band = (factor * (1 - tolerance) * unit, factor * (1 + tolerance) * unit)
        axes.axvspan(*band, color=ACCENT, alpha=0.18, linewidth=0)
    _draw_iso_cost_lines(lines, axes)
    front_indices = data.fronts[measure] if _has_different_costs(costs, tolerance) else ()
    axes.plot(
        [costs[index] for index in front_indices],
        [accuracy[index] for index in front_indices],
        color=ACCENT,
        linewidth=1.0,
        drawstyle="steps-post",
        zorder=2,
    )
    for point, cost in zip(data.points, costs, strict=True):
        error = point.standard_error or 0.0
        span = [point.accuracy - error, point.accuracy + error]
        axes.plot([cost, cost], span, color=FAINT, linewidth=0.7, zorder=3)
        point_style = {**marker_style(point.references), "color": "#c8c8c8"}
        axes.plot(cost, point.accuracy, **point_style, zorder=5 if point.references else 4)
    _scale_cost_axis(costs, lines, axes)
    axes.set_xlabel(MEASURES[measure])
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _has_different_costs(costs: tuple[float, ...], tolerance: float) -> bool:
    """Return whether costs differ by more than the budget's tolerance."""
    return max(costs) > min(costs) * (1 + tolerance) / (1 - tolerance)


def _draw_iso_cost_lines(lines: Mapping[float, float], axes: Axes) -> None:
    for multiple, cost in lines.items():
        axes.axvline(cost, color=INK, linewidth=0.5, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            f"{multiple:g}x",
            (cost, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=INK,
        )


def _scale_cost_axis(costs: tuple[float, ...], lines: Mapping[float, float], axes: Axes) -> None:
    """Set few ticks with units, and leave room beside the outermost lines."""
    all_costs = [*costs, *lines.values()]
    low, high = min(all_costs), max(all_costs)
    margin = max((high / low) ** 0.08, 1.04)
    axes.set_xlim(low / margin, high * margin)
    axes.set_xticks(list(lines.values()), minor=False)
    axes.xaxis.set_major_formatter(EngFormatter(places=1, sep=""))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)


def _legend_handles(data: Pareto) -> list[Any]:
    reference_sets = {point.references for point in data.points}
    handles: list[Any] = [legend_handle("front", {"color": ACCENT, "linewidth": 1.0})]
    handles.append(
        legend_handle(
            "times the baseline's cost", {"color": INK, "linewidth": 0.5, "linestyle": "--"}
        )
    )
    if () in reference_sets:
        handles.append(legend_handle("searched", {**marker_style(()), "color": "#c8c8c8"}))
    return handles + reference_handles(reference_sets)
