"""Learning curves of a search, with the trials that each rung stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    COLUMN,
    FAINT,
    INK,
    ROLE_COLOURS,
    figure_style,
    figure_width,
    new_figure,
)
from scalesearch.figures.triangle import (
    REFERENCE_MARKERS,
    legend_order,
    references_of,
    references_text,
)
from scalesearch.results.records import KEY

LOG_SCALE_RATIO = 8
"""From this ratio of the last to the first rung on, the epoch axis is logarithmic."""


@dataclass(frozen=True, slots=True)
class CandidateCurve:
    """Mean accuracy at each epoch, over the seeds at the candidate's last epoch.

    ``references``: roles beside being searched. ``is_complete``: whether it reached the last rung.
    """

    candidate: str
    references: tuple[str, ...]
    epochs: tuple[int, ...]
    accuracy: tuple[float, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class RungCurves:
    """Curves, the best first. ``reached``: number of candidates at each of ``rungs``."""

    curves: tuple[CandidateCurve, ...]
    rungs: tuple[int, ...]
    reached: tuple[int, ...]

    @property
    def best(self) -> CandidateCurve:
        """The curve with the highest accuracy at the last rung."""
        return self.curves[0]


def rung_curves(records: pd.DataFrame, rungs: Sequence[int]) -> RungCurves:
    """Return the curves of a results table; ``rungs``: where candidates were compared.

    Leaves out a rung that no candidate reached. Raises SearchError for a table without rows.
    """
    if records.empty:
        raise SearchError("rungs: need an epoch to draw, got none; run the search")
    ends = records.groupby("candidate")["epoch"].max()
    reached_rungs = tuple(
        sorted({rung for rung in rungs if rung <= ends.max()} | {int(ends.max())})
    )
    curves = [
        _curve(str(name), rows, reached_rungs[-1])
        for name, rows in records.drop_duplicates(KEY).groupby("candidate")
    ]
    curves.sort(key=lambda curve: (-curve.epochs[-1], -curve.accuracy[-1], curve.candidate))
    reached = tuple(int((ends >= rung).sum()) for rung in reached_rungs)
    return RungCurves(tuple(curves), reached_rungs, reached)


def _curve(candidate: str, rows: pd.DataFrame, last: int) -> CandidateCurve:
    last_epoch = int(rows["epoch"].max())
    seeds = rows.loc[rows["epoch"] == last_epoch, "seed"]
    mean = rows[rows["seed"].isin(seeds)].groupby("epoch")["accuracy"].mean()
    return CandidateCurve(
        candidate=candidate,
        references=references_of(rows["role"]),
        epochs=tuple(int(epoch) for epoch in mean.index),
        accuracy=tuple(float(value) for value in mean),
        is_complete=last_epoch >= last,
    )


def rung_curves_figure(data: RungCurves, width: float = COLUMN) -> Figure:
    """Return the whole figure in the project's style."""
    with figure_style():
        fig = new_figure(width, 0.5 * width + 1.2)
        plot_rung_curves(data, fig.add_subplot())
    return fig


def plot_rung_curves(data: RungCurves, axes: Axes) -> None:
    """Draw searched candidates in grey, references in colours, the best in vermilion.

    A cross marks where a candidate was stopped. The number above a rung counts the candidates
    there.
    """
    for curve in reversed(data.curves):
        _draw_curve(curve, curve is data.best, axes)
    for rung, count in zip(data.rungs, data.reached, strict=True):
        axes.axvline(rung, color=INK, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0)
        transform = axes.get_xaxis_transform()
        axes.text(rung, 1.02, f"{count}", transform=transform, ha="center", va="bottom", fontsize=7)
    label: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7}
    axes.text(-0.02, 1.02, "networks", transform=axes.transAxes, **label)
    axes.set_title("Learning curves", pad=14)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy")
    _scale_epoch_axis(data.rungs, axes)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    _draw_legend(data, axes)


def _scale_epoch_axis(rungs: tuple[int, ...], axes: Axes) -> None:
    """Use a logarithmic scale if rungs are far apart."""
    axes.margins(x=0.04)
    if len(rungs) > 1 and rungs[-1] >= LOG_SCALE_RATIO * rungs[0]:
        axes.set_xscale("log", base=2)
        axes.set_xticks(rungs, [str(rung) for rung in rungs])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if rungs[-1] == 1:
        axes.set_xticks([1])


def _draw_curve(curve: CandidateCurve, is_best: bool, axes: Axes) -> None:
    line_style = dict(_line_style(curve))
    if is_best:
        axes.plot(curve.epochs, curve.accuracy, color=ACCENT, linewidth=4, alpha=0.55, zorder=3)
    marker = "o" if len(curve.epochs) == 1 and not curve.references else ""
    axes.plot(curve.epochs, curve.accuracy, **{"marker": marker, "markersize": 2.5, **line_style})
    if not curve.is_complete:
        stop_marker: dict[str, Any] = {"marker": "x", "markersize": 4, "color": INK, "zorder": 4}
        axes.plot(curve.epochs[-1], curve.accuracy[-1], **stop_marker)


def _line_style(curve: CandidateCurve) -> dict[str, Any]:
    if not curve.references:
        return {"color": FAINT, "linewidth": 0.8, "zorder": 2}
    reference = next(
        (name for name in REFERENCE_MARKERS if name in curve.references), curve.references[0]
    )
    return {
        "color": ROLE_COLOURS.get(reference, INK),
        "marker": REFERENCE_MARKERS.get(reference, "h"),
        "markersize": 8 if reference == "paper" else 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
        "markevery": [len(curve.epochs) - 1],
        "linewidth": 1.3,
        "zorder": 3.5,
    }


def _draw_legend(data: RungCurves, axes: Axes) -> None:
    label = f"best, {data.best.accuracy[-1]:.3f}"
    axes.plot([], [], color=ACCENT, linewidth=4, alpha=0.55, label=label)
    if any(not curve.references for curve in data.curves):
        axes.plot([], [], color=FAINT, linewidth=0.8, label="searched")
    if any(not curve.is_complete for curve in data.curves):
        axes.plot([], [], marker="x", color=INK, linewidth=0, markersize=4, label="stopped")
    for curve in sorted(data.curves, key=lambda curve: legend_order(curve.references)):
        if curve.references:
            label = references_text(curve.references)
            axes.plot([], [], **{**_line_style(curve), "markevery": None, "label": label})
    width = figure_width(axes)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.24 if width < 5 else -0.14),
        ncols=max(2, int(width / 1.1)),
        columnspacing=1.0,
        handlelength=1.8,
    )
