"""Accuracy against what a network costs, in each measure, with lines of equal cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from scalesearch.plots.simplex import Point, simplex
from scalesearch.plots.style import ACCENT, COLUMN, FAINT, INK, figure, style
from scalesearch.plots.triangle import handle, looks, place_of, spoken

MEASURES = {
    "macs": "FLOPs (multiply-adds)",
    "params": "parameters",
    "activations": "activations",
}
NEAR = 0.05
"""By so many doublings candidates may lie beyond the last line."""
SIDE_BY_SIDE = 5.0
"""Inches of width from which on the measures stand beside each other."""


@dataclass(frozen=True, slots=True)
class Pareto:
    """``points``: the candidates at the last epoch, the best first; ``costs``: by measure, of each
    of them. ``fronts``: by measure, places of the points that no other beats at the same cost or
    less, cheapest first. ``lines``: by measure, the costs that are whole multiples of the
    baseline's, by multiple. ``budget``: the measure that was held, its factor and tolerance.
    """

    points: tuple[Point, ...]
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
    """``baseline``: its cost in each of ``MEASURES``. ``budget``: measure, factor, tolerance.

    Raises SearchError where the table has no row of that epoch.
    """
    data = simplex(records, epoch=epoch)
    first = records.drop_duplicates("candidate").set_index("candidate")
    rows = first.loc[[point.candidate for point in data.points]]
    costs = {measure: tuple(float(value) for value in rows[measure]) for measure in MEASURES}
    accuracy = [point.accuracy for point in data.points]
    return Pareto(
        points=data.points,
        costs=costs,
        fronts={measure: front(found, accuracy) for measure, found in costs.items()},
        lines={
            measure: _lines(found, float(baseline[measure])) for measure, found in costs.items()
        },
        budget=budget,
        epoch=data.epoch,
    )


def front(costs: tuple[float, ...], accuracy: list[float]) -> tuple[int, ...]:
    """Places of those that are better than all that cost as much or less, cheapest first."""
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -accuracy[place]))
    kept: list[int] = []
    for place in order:
        if not kept or accuracy[place] > accuracy[kept[-1]]:
            kept.append(place)
    return tuple(kept)


def _lines(costs: tuple[float, ...], baseline: float) -> dict[float, float]:
    """The baseline's cost and twice, four times ... as much, or a half ..., as candidates go."""
    low, high = np.log2(min(costs) / baseline), np.log2(max(costs) / baseline)
    powers = range(min(0, int(np.floor(low + NEAR))), max(0, int(np.ceil(high - NEAR))) + 1)
    return {2.0**power: 2.0**power * baseline for power in powers}


def pareto_figure(data: Pareto, width: float = COLUMN) -> Figure:
    """The measures above each other in one column, beside each other across both."""
    with style():
        if width < SIDE_BY_SIDE:
            drawn = figure(width, 3 * 0.5 * width + 0.8)
            panels = drawn.subplots(len(MEASURES), 1)
        else:
            drawn = figure(width, 0.33 * width + 0.7)
            panels = drawn.subplots(1, len(MEASURES), sharey=True)
        for place, (measure, axes) in enumerate(zip(MEASURES, panels, strict=True)):
            plot_pareto(data, measure, axes)
            if width < SIDE_BY_SIDE or place == 0:
                axes.set_ylabel("accuracy")
        panels[0].set_title(f"Accuracy and cost, epoch {data.epoch}", pad=14)
        drawn.legend(
            handles=_handles(data),
            loc="outside lower center",
            ncols=max(2, int(width / 1.1)),
            columnspacing=1.0,
            handletextpad=0.4,
        )
    return drawn


def plot_pareto(data: Pareto, measure: str, axes: Axes) -> None:
    """One measure: points with their standard errors, the front, and lines of equal cost."""
    costs, accuracy = data.costs[measure], [point.accuracy for point in data.points]
    axes.set_xscale("log")
    held, factor, tolerance = data.budget
    lines = data.lines[measure]
    if measure == held:
        unit = next(cost / multiple for multiple, cost in lines.items())
        band = (factor * (1 - tolerance) * unit, factor * (1 + tolerance) * unit)
        axes.axvspan(*band, color=ACCENT, alpha=0.18, linewidth=0)
    _draw_lines(lines, axes)
    front = data.fronts[measure] if _differ(costs, tolerance) else ()
    axes.plot(
        [costs[place] for place in front],
        [accuracy[place] for place in front],
        color=ACCENT,
        linewidth=1.0,
        drawstyle="steps-post",
        zorder=2,
    )
    for point, cost in zip(data.points, costs, strict=True):
        error = point.standard_error or 0.0
        span = [point.accuracy - error, point.accuracy + error]
        axes.plot([cost, cost], span, color=FAINT, linewidth=0.7, zorder=3)
        form = {**looks(point.references), "color": "#c8c8c8"}
        axes.plot(cost, point.accuracy, **form, zorder=5 if point.references else 4)
    _scale(costs, lines, axes)
    axes.set_xlabel(MEASURES[measure])
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _differ(costs: tuple[float, ...], tolerance: float) -> bool:
    """Whether costs differ by more than the budget leaves to chance."""
    return max(costs) > min(costs) * (1 + tolerance) / (1 - tolerance)


def _draw_lines(lines: Mapping[float, float], axes: Axes) -> None:
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


def _scale(costs: tuple[float, ...], lines: Mapping[float, float], axes: Axes) -> None:
    """Few ticks with units, and room beside the outermost lines."""
    every = [*costs, *lines.values()]
    low, high = min(every), max(every)
    margin = max((high / low) ** 0.08, 1.04)
    axes.set_xlim(low / margin, high * margin)
    axes.set_xticks(list(lines.values()), minor=False)
    axes.xaxis.set_major_formatter(EngFormatter(places=1, sep=""))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.tick_params(axis="x", which="minor", length=0, labelbottom=False)


def _handles(data: Pareto) -> list[Any]:
    seen = {point.references for point in data.points}
    handles: list[Any] = [handle("front", {"color": ACCENT, "linewidth": 1.0})]
    handles.append(
        handle("times the baseline's cost", {"color": INK, "linewidth": 0.5, "linestyle": "--"})
    )
    if () in seen:
        handles.append(handle("searched", {**looks(()), "color": "#c8c8c8"}))
    handles += [handle(spoken(names), looks(names)) for names in sorted(seen - {()}, key=place_of)]
    return handles
