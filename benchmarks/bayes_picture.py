"""The comparison of samplers on recorded runs as a figure: a panel for each table."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.figures.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, figure_style, new_figure

COLOURS = {"recorded": ACCENT, "resampled": "#0072b2"}
APART = {"recorded": -0.16, "resampled": 0.16}


def drawn(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A line for each way to choose: the mean with its interval, thin from 10% to 90% of searches;
    what counts are epochs, as a part of all that the table has."""
    names = list(dict.fromkeys(row["table"] for row in rows))
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    with figure_style():
        picture = new_figure(DOUBLE_COLUMN, 1.75 * lines + 0.6)
        panels = picture.subplots(lines, columns, squeeze=False).ravel()
        for name, axes in zip(names, panels, strict=False):
            plot_table([row for row in rows if row["table"] == name], axes)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        told = "epochs until within 0.3 points of the best, % of those of all networks"
        picture.supxlabel(told, fontsize=7.5)
        picture.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return picture


def plot_table(rows: Sequence[Mapping[str, Any]], axes: Axes) -> None:
    """One table's panel."""
    orders = list(dict.fromkeys(row["order"] for row in rows))
    kinds = list(dict.fromkeys(row["accuracies"] for row in rows))
    for kind in kinds:
        own = [row for row in rows if row["accuracies"] == kind]
        for row in own:
            y, whole = (
                orders.index(row["order"]) + APART[kind] * (len(kinds) > 1),
                row["epochs"] / 100,
            )
            middle = row["epochs_spent"] / whole
            colour = COLOURS[kind]
            spread = [row["epochs_10"] / whole, row["epochs_90"] / whole]
            axes.plot(spread, [y, y], color=colour, linewidth=0.7, alpha=0.6)
            interval = [row["epochs_low"] / whole, row["epochs_high"] / whole]
            axes.plot(interval, [y, y], color=colour, linewidth=3, solid_capstyle="butt")
            axes.plot(middle, y, "o", color=colour, markersize=4)
        axes.plot([], [], "o-", color=COLOURS[kind], markersize=4, label=f"accuracies {kind}")
    first = rows[0]
    chance = (first["networks"] + 1) / (first["near"] + 1) / first["networks"] * 100
    axes.axvline(chance, color=INK, linewidth=0.6, linestyle=":", label="random order, expected")
    axes.axvline(100, color=FAINT, linewidth=0.6)
    axes.set_yticks(range(len(orders)), orders)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(orders) - 0.5, -0.5)
    axes.set_xlim(0, 102)
    seeds = "1 seed" if first["seeds"] == 1 else f"{first['seeds']} seeds"
    axes.set_title(f"{first['table']}: {first['networks']} networks, {seeds}")
