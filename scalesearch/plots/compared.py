"""Accuracy of networks, as printed, against what they cost."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from scalesearch.errors import ExportError
from scalesearch.plots.labels import Label, place_labels
from scalesearch.plots.style import ACCENT, BLUE, DOUBLE_COLUMN, FAINT, INK, new_figure, figure_style

GIVEN_SOURCE = "given"
"""The source of an accuracy that no paper prints, as ``compared.comparison`` says it."""

MEASURES = {"macs": "FLOPs (multiply-adds)", "params": "parameters"}
MAX_FINE_DECADES = 2.5
"""Powers of ten up to which there is room for 2 and 5 between them."""


@dataclass(frozen=True, slots=True)
class PlottedNetwork:
    """A network of the figure. ``family``: networks of one are joined by a line."""

    name: str
    family: str
    top1: float
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AccuracyCostPlot:
    """Networks in the order of their multiply-adds. ``left_out``: the names of those whose accuracy
    is not known. ``given``: whether some accuracy is no paper's."""

    networks: tuple[PlottedNetwork, ...]
    names_without_accuracy: tuple[str, ...]
    has_given: bool = False

    @property
    def y_label(self) -> str:
        return f"ImageNet top-1, as printed{' or given' if self.has_given else ''}"

    @property
    def families(self) -> tuple[tuple[PlottedNetwork, ...], ...]:
        """Two or more networks that are one network scaled."""
        by_family = sorted(self.networks, key=lambda network: network.family)
        groups = (tuple(group) for _, group in groupby(by_family, lambda network: network.family))
        return tuple(group for group in groups if len(group) > 1)


def accuracy_cost_plot(rows: Sequence[Mapping[str, Any]]) -> AccuracyCostPlot:
    """The figure's numbers, of rows of ``compared.comparison``.

    Raises ExportError where the accuracy of no network is known.
    """
    if not any(row["top1"] is not None for row in rows):
        raise ExportError(
            "compare: need the accuracy of at least one network for a figure, got none; name a "
            "published network, or give one with --top1 NETWORK=0.77"
        )
    networks = (
        PlottedNetwork(
            str(row["network"]),
            _family(str(row["network"])),
            row["top1"],
            {measure: row[measure] for measure in MEASURES},
        )
        for row in rows
        if row["top1"] is not None
    )
    return AccuracyCostPlot(
        networks=tuple(sorted(networks, key=lambda network: network.costs["macs"])),
        names_without_accuracy=tuple(str(row["network"]) for row in rows if row["top1"] is None),
        has_given=any(row["source"] == GIVEN_SOURCE for row in rows),
    )


def accuracy_cost_figure(data: AccuracyCostPlot) -> Figure:
    """A panel for each measure."""
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, 3.2)
        panels = fig.subplots(1, len(MEASURES), sharey=True)
        for measure, axes in zip(MEASURES, panels, strict=True):
            _plot_measure(data, measure, axes)
        panels[0].set_ylabel(data.y_label)
        panels[0].yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        fig.draw_without_rendering()  # labels are placed where the layout has put the points
        for measure, axes in zip(MEASURES, panels, strict=True):
            labels = [
                Label(network.name.rpartition("/")[2], network.costs[measure], network.top1, INK)
                for network in data.networks
            ]
            place_labels(labels, axes, _family_lines(data, measure))
    return fig


def _plot_measure(data: AccuracyCostPlot, measure: str, axes: Axes) -> None:
    for line in _family_lines(data, measure):
        axes.plot(*zip(*line, strict=True), color=FAINT, linewidth=0.9, zorder=1)
    for network in data.networks:
        colour = ACCENT if network.family.startswith("efficientnet") else BLUE
        axes.plot(network.costs[measure], network.top1, "o", color=colour, markersize=4.5, zorder=2)
    _scale_axes(data, measure, axes)


def _family_lines(data: AccuracyCostPlot, measure: str) -> list[list[tuple[float, float]]]:
    """Through the points of each family, the cheapest first."""
    return [
        sorted((network.costs[measure], network.top1) for network in group)
        for group in data.families
    ]


def _scale_axes(data: AccuracyCostPlot, measure: str, axes: Axes) -> None:
    costs = [network.costs[measure] for network in data.networks]
    accuracies = [network.top1 for network in data.networks]
    margin = max((max(costs) / min(costs)) ** 0.17, 1.3)
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / margin, max(costs) * margin)
    decades = math.log10(max(costs) / min(costs))
    axes.xaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if decades < MAX_FINE_DECADES else (1.0,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel(MEASURES[measure])
    y_margin = max(0.15 * (max(accuracies) - min(accuracies)), 0.01)
    axes.set_ylim(min(accuracies) - y_margin, max(accuracies) + y_margin)
    axes.grid(color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _family(name: str) -> str:
    """What is left of a name without its number, or without the member behind a file's name."""
    prefix, colon, member = name.rpartition(":")
    return f"{prefix}:" if colon else re.sub(r"\d+$", "", member)
