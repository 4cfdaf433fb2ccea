"""Learning curves of a search: who went on at each rung, and who was stopped where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from scalesearch.errors import SearchError
from scalesearch.plots.style import (
    ACCENT,
    COLUMN,
    FAINT,
    INK,
    ROLE_COLOURS,
    figure,
    style,
    width_of,
)
from scalesearch.plots.triangle import MARKERS, place_of, spoken
from scalesearch.records import KEY

SEARCHED = "searched"
FAR = 8
"""The last rung over the first, from which on epochs are told by doublings."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean accuracy at each epoch, over the seeds that the candidate had at its last one.

    ``references``: the parts it plays beside being searched. ``whole``: it came to the last rung.
    """

    candidate: str
    references: tuple[str, ...]
    epochs: tuple[int, ...]
    accuracy: tuple[float, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class RungCurves:
    """``curves``: the best first. ``reached``: how many candidates have each of the ``rungs``."""

    curves: tuple[Curve, ...]
    rungs: tuple[int, ...]
    reached: tuple[int, ...]

    @property
    def best(self) -> Curve:
        """Of those that came to the last rung, the highest there."""
        return self.curves[0]


def rung_curves(records: pd.DataFrame, rungs: Sequence[int]) -> RungCurves:
    """From a results table, and the epochs at which candidates were compared.

    A rung that nobody has reached is left out. Raises SearchError for a table without rows.
    """
    if records.empty:
        raise SearchError("rungs: need an epoch to draw, got none; run the search")
    ends = records.groupby("candidate")["epoch"].max()
    known = tuple(sorted({rung for rung in rungs if rung <= ends.max()} | {int(ends.max())}))
    curves = [
        _curve(str(name), rows, known[-1])
        for name, rows in records.drop_duplicates(KEY).groupby("candidate")
    ]
    curves.sort(key=lambda one: (-one.epochs[-1], -one.accuracy[-1], one.candidate))
    reached = tuple(int((ends >= rung).sum()) for rung in known)
    return RungCurves(tuple(curves), known, reached)


def _curve(candidate: str, rows: pd.DataFrame, last: int) -> Curve:
    reached = int(rows["epoch"].max())
    seeds = rows.loc[rows["epoch"] == reached, "seed"]
    mean = rows[rows["seed"].isin(seeds)].groupby("epoch")["accuracy"].mean()
    roles = {role for roles in rows["role"] for role in str(roles).split("+")} - {SEARCHED}
    return Curve(
        candidate=candidate,
        references=tuple(sorted(roles, key=lambda name: (*place_of([name]), name))),
        epochs=tuple(int(epoch) for epoch in mean.index),
        accuracy=tuple(float(value) for value in mean),
        whole=reached >= last,
    )


def rung_curves_figure(data: RungCurves, width: float = COLUMN) -> Figure:
    """The whole figure in the house style."""
    with style():
        drawn = figure(width, 0.5 * width + 1.2)
        plot_rung_curves(data, drawn.add_subplot())
    return drawn


def plot_rung_curves(data: RungCurves, axes: Axes) -> None:
    """Searched candidates in grey with a cross where they were stopped, references in colours of
    their own, the best in vermilion; above each rung, how many came to it."""
    for curve in reversed(data.curves):
        _draw_curve(curve, curve is data.best, axes)
    for rung, count in zip(data.rungs, data.reached, strict=True):
        axes.axvline(rung, color=INK, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0)
        place = axes.get_xaxis_transform()
        axes.text(rung, 1.02, f"{count}", transform=place, ha="center", va="bottom", fontsize=7)
    label: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7}
    axes.text(-0.02, 1.02, "networks", transform=axes.transAxes, **label)
    axes.set_title("Learning curves", pad=14)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy")
    _scale(data.rungs, axes)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    _draw_legend(data, axes)


def _scale(rungs: tuple[int, ...], axes: Axes) -> None:
    """By doublings where rungs are far apart, as they are chosen by factors."""
    axes.margins(x=0.04)
    if len(rungs) > 1 and rungs[-1] >= FAR * rungs[0]:
        axes.set_xscale("log", base=2)
        axes.set_xticks(rungs, [str(rung) for rung in rungs])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if rungs[-1] == 1:
        axes.set_xticks([1])


def _draw_curve(curve: Curve, best: bool, axes: Axes) -> None:
    line = dict(_look(curve))
    if best:
        axes.plot(curve.epochs, curve.accuracy, color=ACCENT, linewidth=4, alpha=0.55, zorder=3)
    marker = "o" if len(curve.epochs) == 1 and not curve.references else ""
    axes.plot(curve.epochs, curve.accuracy, **{"marker": marker, "markersize": 2.5, **line})
    if not curve.whole:
        stop: dict[str, Any] = {"marker": "x", "markersize": 4, "color": INK, "zorder": 4}
        axes.plot(curve.epochs[-1], curve.accuracy[-1], **stop)


def _look(curve: Curve) -> dict[str, Any]:
    if not curve.references:
        return {"color": FAINT, "linewidth": 0.8, "zorder": 2}
    first = next((name for name in MARKERS if name in curve.references), curve.references[0])
    return {
        "color": ROLE_COLOURS.get(first, INK),
        "marker": MARKERS.get(first, "h"),
        "markersize": 8 if first == "paper" else 5.5,
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
    if any(not curve.whole for curve in data.curves):
        axes.plot([], [], marker="x", color=INK, linewidth=0, markersize=4, label="stopped")
    for curve in sorted(data.curves, key=lambda one: place_of(one.references)):
        if curve.references:
            label = spoken(curve.references)
            axes.plot([], [], **{**_look(curve), "markevery": None, "label": label})
    wide = width_of(axes)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.24 if wide < 5 else -0.14),
        ncols=max(2, int(wide / 1.1)),
        columnspacing=1.0,
        handlelength=1.8,
    )
