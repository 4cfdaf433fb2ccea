"""The benchmark as a figure: images a second of everybody, a panel for each group."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure

from scalesearch.figures.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, figure_style, new_figure

TITLES = {
    "trainer": "Whole epochs",
    "step": "Steps on a resident batch",
    "loader": "Batches alone, on one core",
    "loader_all_cores": "Batches alone, on all cores",
    "replicas": "Seeds together and in turn",
}


def drawn(measurements: Sequence[dict[str, Any]]) -> Figure:
    """Bars at the medians, a dot for each round."""
    panels = [(group, list(own)) for group, own in groupby(measurements, key=_group)]
    rows = [len(own) + 1 for _, own in panels]
    with figure_style():
        picture = new_figure(DOUBLE_COLUMN, 0.2 * sum(rows) + 0.3 * len(panels))
        axes = picture.subplots(len(panels), 1, height_ratios=rows, squeeze=False)[:, 0]
        for (group, own), ax in zip(panels, axes, strict=True):
            for row, one in enumerate(own):
                rate, laps = one["images_per_second"], one["rounds_images_per_second"]
                colour = ACCENT if one["side"].startswith("ours") else FAINT
                ax.barh(row, rate, height=0.6, color=colour, alpha=0.8)
                ax.plot(laps, [row] * len(laps), ".", color=INK, markersize=2.5)
                ax.text(max(laps), row, f"  {rate:,.0f}", va="center", fontsize=7)
            ax.set_yticks(range(len(own)), [one["name"] for one in own])
            ax.set_title(TITLES[group])
            ax.xaxis.set_major_formatter("{x:,.0f}")
            ax.set_xlim(0, 1.12 * max(max(one["rounds_images_per_second"]) for one in own))
            ax.invert_yaxis()
        axes[-1].set_xlabel("images a second (bar: median; dots: rounds)")
    return picture


def _group(measurement: dict[str, Any]) -> str:
    return str(measurement["group"])
