"""An ablation's curves with their bands: in one figure, a panel for each, or over two costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scalesearch.errors import SearchError
from scalesearch.plots.style import ACCENT, COLUMN, DOUBLE_COLUMN, ROLE_COLOURS, figure, style
from scalesearch.plots.triangle import MARKERS

AXIS_OF = {
    "factor": "realised cost / baseline's",
    "macs": "FLOPs (multiply-adds)",
    "params": "parameters",
}
OTHERS = ("#56b4e9", "#e69f00", "#0072b2", "#009e73", "#cc79a7")
OTHER_MARKS = ("v", "p", "s", "D", "^")
"""Okabe and Ito's colours, with a mark each; ``ACCENT`` and a disc are for who is compared with."""

WIDE = 8
"""Greatest over least cost from which on 1, 2 and 5 times powers of ten are marks enough."""
LETTERS = 14
"""Of a title, in an inch."""
LETTER = 0.055
"""Least distance of two labels, as a fraction of the height of a figure of one column."""
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:.4g}%")
"""As many digits as the ticks need."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series on a baseline, by rising ``x``. ``low``, ``high`` are as ``y`` for a single seed.

    ``names``: what each point is told apart by; ``leads``: whether others are compared with it.
    """

    series: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...]
    leads: bool = False


def curves(table: pd.DataFrame, x: str = "factor", against: str | None = None) -> tuple[Curve, ...]:
    """From an ablation's table, for one baseline. ``x``: ``factor``, ``macs`` or ``params``.

    A network that is twice in a series is one point. Raises SearchError for an empty table.
    """
    if table.empty:
        raise SearchError("ablation: need a network to draw, got none; train first")
    found = []
    for series, rows in table.groupby("series", sort=False):
        points = rows.drop_duplicates("candidate").sort_values([x, "accuracy"], kind="stable")
        own = points["accuracy"]
        names = [
            name.removeprefix(f"{series} ").removesuffix("x") if name != series else ""
            for name in points["point"]
        ]
        found.append(
            Curve(
                series=str(series),
                x=tuple(points[x].astype(float)),
                y=tuple(own),
                low=tuple(points["low"].astype(float).fillna(own)),
                high=tuple(points["high"].astype(float).fillna(own)),
                names=tuple(names),
                leads=series == against,
            )
        )
    return tuple(found)


def spread(places: Sequence[float], least: float) -> list[float]:
    """Places of labels, moved apart until neighbours are ``least`` from each other, and no farther
    from their own than that asks for; in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _first(groups[-1], places, least) < least + _last(
            groups[-2], places, least
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [0.0] * len(places)
    for group in groups:
        for rank, index in enumerate(group):
            moved[index] = _first(group, places, least) + rank * least
    return moved


def _first(group: Sequence[int], places: Sequence[float], least: float) -> float:
    """Where the lowest of labels that touch each other stands, so that their middle is theirs."""
    return sum(places[index] for index in group) / len(group) - least * (len(group) - 1) / 2


def _last(group: Sequence[int], places: Sequence[float], least: float) -> float:
    return _first(group, places, least) + least * (len(group) - 1)


def curves_figure(data: Sequence[Curve], title: str) -> Figure:
    """All curves over the realised cost, each with its 90% band and its name at its end."""
    with style():
        drawn = figure(COLUMN, 2.7)
        axes = drawn.add_subplot()
        plot_curves(data, axes)
        axes.set_xlabel(AXIS_OF["factor"])
        axes.set_ylabel("validation accuracy")
        entitle(drawn, title)
    return drawn


def panels_figure(data: Sequence[Curve], title: str) -> Figure:
    """A panel for each curve, its points named, on one scale of accuracy."""
    with style():
        drawn = figure(DOUBLE_COLUMN, 2.5)
        panels = drawn.subplots(1, len(data), sharex=True, sharey=True, squeeze=False)[0]
        for axes, curve in zip(panels, data, strict=True):
            plot_curves([curve], axes, named=False)
            for x, y, name in zip(curve.x, curve.high, curve.names, strict=True):
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=6.5,
                )
            axes.set_xlabel(AXIS_OF["factor"])
            axes.set_title(f"{curve.series} (points: its multiplier)")
        panels[0].set_ylabel("validation accuracy")
        entitle(drawn, title)
    return drawn


def costs_figure(table: pd.DataFrame, against: str | None, title: str) -> Figure:
    """Accuracy against parameters and against FLOPs, on one scale of accuracy."""
    with style():
        drawn = figure(DOUBLE_COLUMN, 2.7)
        panels = drawn.subplots(1, 2, sharey=True)
        for axes, x in zip(panels, ("params", "macs"), strict=True):
            plot_curves(curves(table, x, against), axes, base=10)
            axes.set_xlabel(AXIS_OF[x])
        panels[0].set_ylabel("validation accuracy")
        entitle(drawn, title)
    return drawn


def plot_curves(data: Sequence[Curve], axes: Axes, *, named: bool = True, base: int = 2) -> None:
    """Lines with points and bands over a logarithmic cost."""
    others = 0
    looks = []
    for curve in data:
        looks.append(_look(curve, others))
        others += curve.series not in MARKERS and not curve.leads
    for curve, (colour, mark) in zip(data, looks, strict=True):
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(curve.x, curve.y, color=colour, marker=mark, markersize=3.5, zorder=3)
    _scale(axes, base)
    if named:
        _name(data, [colour for colour, _ in looks], axes)


def counted(value: float) -> str:
    """A count with its unit: 2.5M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def entitle(drawn: Figure, title: str) -> None:
    """A title over the whole figure, in as many lines as it needs."""
    letters = int(drawn.get_figwidth() * LETTERS)
    drawn.suptitle("\n".join(wrap(title, letters)), x=0.01, ha="left", fontsize=8.5)


def _scale(axes: Axes, base: int) -> None:
    axes.set_xscale("log", base=base)
    if base == 2:
        axes.xaxis.set_major_locator(LogLocator(2))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    else:
        low, high = axes.get_xlim()
        wide = high / low > WIDE
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)) if wide else MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: counted(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)


def _look(curve: Curve, others: int) -> tuple[str, str]:
    if curve.leads:
        return ACCENT, "o"
    if curve.series in MARKERS:
        return ROLE_COLOURS[curve.series], MARKERS[curve.series]
    return OTHERS[others % len(OTHERS)], OTHER_MARKS[others % len(OTHER_MARKS)]


def _name(data: Sequence[Curve], colours: Sequence[str], axes: Axes) -> None:
    """Each curve's name beside its last point, apart from the others."""
    low, high = axes.get_ylim()
    places = spread([curve.y[-1] for curve in data], LETTER * (high - low))
    longest = max(curve.x[-1] for curve in data)
    for curve, place, colour in zip(data, places, colours, strict=True):
        axes.annotate(
            curve.series,
            (longest, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold" if curve.leads else "normal",
            annotation_clip=False,
        )
        if curve.x[-1] < longest:
            axes.plot(
                [curve.x[-1], longest],
                [curve.y[-1], place],
                color=colour,
                linewidth=0.5,
                linestyle=":",
            )
