"""What coefficients ask for against what the networks cost."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.plots.style import ACCENT, BLUE, COLUMN, INK, figure, style, width_of


@dataclass(frozen=True, slots=True)
class Realised:
    """For each candidate, as multiples of the baseline's cost: ``asked``, the product
    alpha * beta^2 * gamma^2 of the coefficients that were asked for; ``effective``, the same of the
    multipliers that its whole numbers of layers, channels and pixels come to; ``realised``, what it
    costs. ``factor``, ``tolerance``: the budget.
    """

    candidates: tuple[str, ...]
    asked: tuple[float, ...]
    effective: tuple[float, ...]
    realised: tuple[float, ...]
    factor: float
    tolerance: float

    @property
    def met(self) -> int:
        """How many cost what the budget allows."""
        off = np.abs(np.array(self.realised) / self.factor - 1)
        return int((off <= self.tolerance + 1e-9).sum())


def realised(records: pd.DataFrame, factor: float, tolerance: float) -> Realised:
    """From a results table with a row at least for each candidate."""
    first = records.drop_duplicates("candidate").sort_values("candidate")
    return Realised(
        candidates=tuple(map(str, first["candidate"])),
        asked=_products(first, "asked_"),
        effective=_products(first, ""),
        realised=tuple(float(value) for value in first["factor"]),
        factor=factor,
        tolerance=tolerance,
    )


def _products(rows: pd.DataFrame, prefix: str) -> tuple[float, ...]:
    alpha, beta, gamma = (rows[f"{prefix}{name}"] for name in ("alpha", "beta", "gamma"))
    return tuple(float(value) for value in alpha * beta**2 * gamma**2)


def realised_figure(data: Realised, width: float = COLUMN) -> Figure:
    """The whole figure in the house style."""
    with style():
        drawn = figure(width, 0.55 * width + 1.0)
        plot_realised(data, drawn.add_subplot())
    return drawn


def plot_realised(data: Realised, axes: Axes) -> None:
    """Points on the diagonal cost what they ask for; the band is what the budget allows."""
    every = [*data.asked, *data.effective, *data.realised]
    low, high = min(*every, 0.8 * data.factor), max(*every, 1.25 * data.factor)
    margin = 0.06 * (high - low)
    ends = [low - margin, high + margin]
    within = (data.factor * (1 - data.tolerance), data.factor * (1 + data.tolerance))
    axes.axhspan(*within, color=ACCENT, alpha=0.18, linewidth=0, label="within the budget")
    axes.plot(
        ends, ends, color=INK, linewidth=0.6, linestyle=(0, (4, 2)), label="nominal = realised"
    )
    axes.plot(
        data.effective,
        data.realised,
        "o",
        markerfacecolor="none",
        markeredgecolor=BLUE,
        markersize=4.5,
        label="effective multipliers",
    )
    axes.plot(
        data.asked,
        data.realised,
        "D",
        color=INK,
        markersize=3.2,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label="coefficients asked for",
    )
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel(
        "\N{GREEK SMALL LETTER ALPHA} \N{GREEK SMALL LETTER BETA}² "
        "\N{GREEK SMALL LETTER GAMMA}², nominal cost"
    )
    axes.set_ylabel("realised cost / baseline's")
    count = len(data.candidates)
    axes.set_title(f"{data.met} of {count} networks cost {data.factor:g}x ± {data.tolerance:.0%}")
    narrow = width_of(axes) < 5
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.22 if narrow else -0.13),
        ncols=2 if narrow else 4,
        columnspacing=1.0,
        handlelength=1.6,
    )
