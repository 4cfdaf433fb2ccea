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
from scalesearch.plots.labels import Label, placed
from scalesearch.plots.style import ACCENT, BLUE, DOUBLE_COLUMN, FAINT, INK, figure, style

GIVEN = "given"
"""The source of an accuracy that no paper prints, as ``compared.comparison`` says it."""

MEASURES = {"macs": "FLOPs (multiply-adds)", "params": "parameters"}
FEW = 2.5
"""Powers of ten up to which there is room for 2 and 5 between them."""


@dataclass(frozen=True, slots=True)
class Known:
    """A network of the figure. ``family``: networks of one are joined by a line."""

    name: str
    family: str
    top1: float
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """Networks in the order of their multiply-adds. ``left_out``: the names of those whose accuracy
    is not known. ``given``: whether some accuracy is no paper's."""

    networks: tuple[Known, ...]
    left_out: tuple[str, ...]
    given: bool = False

    @property
    def ordinate(self) -> str:
        return f"ImageNet top-1, as printed{' or given' if self.given else ''}"

    @property
    def families(self) -> tuple[tuple[Known, ...], ...]:
        """Two or more networks that are one network scaled."""
        together = sorted(self.networks, key=lambda network: network.family)
        groups = (tuple(group) for _, group in groupby(together, lambda network: network.family))
        return tuple(group for group in groups if len(group) > 1)


def compared(rows: Sequence[Mapping[str, Any]]) -> Compared:
    """The figure's numbers, of rows of ``compared.comparison``.

    Raises ExportError where the accuracy of no network is known.
    """
    if not any(row["top1"] is not None for row in rows):
        raise ExportError(
            "compare: need the accuracy of at least one network for a figure, got none; name a "
            "published network, or give one with --top1 NETWORK=0.77"
        )
    networks = (
        Known(
            str(row["network"]),
            _family(str(row["network"])),
            row["top1"],
            {measure: row[measure] for measure in MEASURES},
        )
        for row in rows
        if row["top1"] is not None
    )
    return Compared(
        networks=tuple(sorted(networks, key=lambda network: network.costs["macs"])),
        left_out=tuple(str(row["network"]) for row in rows if row["top1"] is None),
        given=any(row["source"] == GIVEN for row in rows),
    )


def compared_figure(data: Compared) -> Figure:
    """A panel for each measure."""
    with style():
        drawn = figure(DOUBLE_COLUMN, 3.2)
        panels = drawn.subplots(1, len(MEASURES), sharey=True)
        for measure, axes in zip(MEASURES, panels, strict=True):
            _draw(data, measure, axes)
        panels[0].set_ylabel(data.ordinate)
        panels[0].yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        drawn.draw_without_rendering()  # labels are placed where the layout has put the points
        for measure, axes in zip(MEASURES, panels, strict=True):
            labels = [
                Label(network.name.rpartition("/")[2], network.costs[measure], network.top1, INK)
                for network in data.networks
            ]
            placed(labels, axes, _lines(data, measure))
    return drawn


def _draw(data: Compared, measure: str, axes: Axes) -> None:
    for line in _lines(data, measure):
        axes.plot(*zip(*line, strict=True), color=FAINT, linewidth=0.9, zorder=1)
    for network in data.networks:
        colour = ACCENT if network.family.startswith("efficientnet") else BLUE
        axes.plot(network.costs[measure], network.top1, "o", color=colour, markersize=4.5, zorder=2)
    _scale(data, measure, axes)


def _lines(data: Compared, measure: str) -> list[list[tuple[float, float]]]:
    """Through the points of each family, the cheapest first."""
    return [
        sorted((network.costs[measure], network.top1) for network in group)
        for group in data.families
    ]


def _scale(data: Compared, measure: str, axes: Axes) -> None:
    costs = [network.costs[measure] for network in data.networks]
    known = [network.top1 for network in data.networks]
    margin = max((max(costs) / min(costs)) ** 0.17, 1.3)
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / margin, max(costs) * margin)
    decades = math.log10(max(costs) / min(costs))
    axes.xaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if decades < FEW else (1.0,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel(MEASURES[measure])
    room = max(0.15 * (max(known) - min(known)), 0.01)
    axes.set_ylim(min(known) - room, max(known) + room)
    axes.grid(color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)


def _family(name: str) -> str:
    """What is left of a name without its number, or without the member behind a file's name."""
    place, colon, member = name.rpartition(":")
    return f"{place}:" if colon else re.sub(r"\d+$", "", member)
