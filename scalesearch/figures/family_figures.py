"""Figures of a family: cost, the phi of each axis, and cost against resolution."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    DOUBLE_COLUMN,
    FAINT,
    INK,
    figure_style,
    new_figure,
)

Document: TypeAlias = Mapping[str, Any]
"""The document of ``families.explanation.explain``."""

FAMILY_MARKS: dict[str, dict[str, Any]] = {
    "published": {"color": ACCENT, "marker": "o"},
    "exact": {"color": BLUE, "marker": "s"},
    "matched": {"color": INK, "marker": "^"},
}
AXIS_MARKS: dict[str, dict[str, Any]] = {
    "depth": {"color": ACCENT, "marker": "s"},
    "width": {"color": BLUE, "marker": "D"},
    "resolution": {"color": INK, "marker": "^"},
}
LINE_STYLES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-"},
    {"color": ACCENT, "linestyle": "-"},
    {"color": INK, "linestyle": (0, (4, 1.5))},
)


def explain_figure(document: Document) -> Figure:
    """Draw realised against nominal cost, implied phis, and cost against resolution."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 2.6)
        factors, phis, pixels = fig.subplots(1, 3)
        plot_factors(document, factors)
        plot_implied_phis(document, phis)
        plot_resolutions(document, pixels)
    return fig


def plot_factors(document: Document, axes: Axes) -> None:
    """Draw the realised over the nominal factor of each family, by nominal factor."""
    axes.axhline(1, color=FAINT, linewidth=0.6)
    for mode, rows in document["families"].items():
        scaled_rows = [row for row in rows if row["nominal_factor"] > 1]
        axes.plot(
            [row["nominal_factor"] for row in scaled_rows],
            [row["realised_factor"] / row["nominal_factor"] for row in scaled_rows],
            markersize=3.5,
            linewidth=0.9,
            label=mode,
            **FAMILY_MARKS[mode],
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([2, 8, 32, 128]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_multiple_formatter)
    axes.yaxis.set_major_formatter(_multiple_formatter)
    axes.set_xlabel("nominal cost / baseline's")
    axes.set_ylabel("realised / nominal cost")
    axes.set_title("What rounding adds")
    axes.legend(loc="upper right", handlelength=1.5)


def plot_implied_phis(document: Document, axes: Axes) -> None:
    """Draw the phi that depth, width and resolution of each published member imply."""
    rows = document["families"]["published"]
    positions = range(len(rows))
    for axis, mark in AXIS_MARKS.items():
        implied = [row["implied_phi"][axis] for row in rows]
        if None not in implied:
            axes.plot(positions, implied, markersize=3.5, linewidth=0.9, label=axis, **mark)
    axes.set_xticks(list(positions), [row["name"].upper() for row in rows])
    axes.set_ylim(bottom=-0.3)
    axes.set_xlabel("published member")
    axes.set_ylabel("phi")
    axes.set_title("One member, three phis")
    axes.legend(loc="upper left", handlelength=1.5)


def plot_resolutions(document: Document, axes: Axes) -> None:
    """Draw relative cost against resolution, and the square that the paper assumes."""
    curves = document["resolutions"]
    longest = max(curves, key=lambda curve: len(curve["pixels"]))
    ratios = [pixels / longest["resolution"] for pixels in longest["pixels"]]
    axes.plot(ratios, [r * r for r in ratios], color=FAINT, linewidth=0.8, label="nominal, $r^2$")
    for curve, line in zip(curves, LINE_STYLES, strict=False):
        axes.plot(
            [pixels / curve["resolution"] for pixels in curve["pixels"]],
            curve["factors"],
            drawstyle="steps-post",
            linewidth=1.0,
            label=curve["name"],
            **line,
        )
    top = max(max(curve["factors"]) for curve in curves)
    axes.set_ylim(0.9, 1 + (top - 1) * 1.6)  # the curves are lowest there
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(_multiple_formatter)
    axes.yaxis.set_major_formatter(_multiple_formatter)
    axes.set_xlabel("pixels per side / own")
    axes.set_ylabel("realised cost / own")
    axes.set_title("Cliffs of resolution")
    axes.legend(loc="upper left", handlelength=1.5, labelspacing=0.3)


_multiple_formatter = FuncFormatter(lambda value, _: f"{value:g}\N{MULTIPLICATION SIGN}")
