"""Nominal cost of coefficients against the realised cost of their networks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    COLUMN,
    INK,
    figure_style,
    figure_width,
    new_figure,
)


@dataclass(frozen=True, slots=True)
class RealisedCosts:
    """Costs of each candidate as multiples of the baseline's.

    ``asked``: alpha * beta^2 * gamma^2 of the coefficients asked for. ``effective``: the same
    product of the multipliers that whole layers, channels and pixels give. ``realised``: the
    counted cost. ``factor``, ``tolerance``: the budget's.
    """

    candidates: tuple[str, ...]
    asked: tuple[float, ...]
    effective: tuple[float, ...]
    realised: tuple[float, ...]
    factor: float
    tolerance: float

    @property
    def within_budget_count(self) -> int:
        """Candidates whose cost is within the budget."""
        relative_errors = np.abs(np.array(self.realised) / self.factor - 1)
        return int((relative_errors <= self.tolerance + 1e-9).sum())


def realised_costs(records: pd.DataFrame, factor: float, tolerance: float) -> RealisedCosts:
    """Return the costs from a results table with at least one row for each candidate."""
    candidate_rows = records.drop_duplicates("candidate").sort_values("candidate")
    return RealisedCosts(
        candidates=tuple(map(str, candidate_rows["candidate"])),
        asked=_products(candidate_rows, "asked_"),
        effective=_products(candidate_rows, ""),
        realised=tuple(float(value) for value in candidate_rows["factor"]),
        factor=factor,
        tolerance=tolerance,
    )


def _products(rows: pd.DataFrame, prefix: str) -> tuple[float, ...]:
    alpha, beta, gamma = (rows[f"{prefix}{name}"] for name in ("alpha", "beta", "gamma"))
    return tuple(float(value) for value in alpha * beta**2 * gamma**2)


def realised_costs_figure(data: RealisedCosts, width: float = COLUMN) -> Figure:
    """Return the whole figure in the project's style."""
    with figure_style():
        fig = new_figure(width, 0.55 * width + 1.0)
        plot_realised_costs(data, fig.add_subplot())
    return fig


def plot_realised_costs(data: RealisedCosts, axes: Axes) -> None:
    """Draw points around the diagonal of exact costs, and the band of the budget."""
    all_costs = [*data.asked, *data.effective, *data.realised]
    low, high = min(*all_costs, 0.8 * data.factor), max(*all_costs, 1.25 * data.factor)
    margin = 0.06 * (high - low)
    limits = [low - margin, high + margin]
    budget_range = (data.factor * (1 - data.tolerance), data.factor * (1 + data.tolerance))
    axes.axhspan(*budget_range, color=ACCENT, alpha=0.18, linewidth=0, label="within the budget")
    axes.plot(
        limits, limits, color=INK, linewidth=0.6, linestyle=(0, (4, 2)), label="nominal = realised"
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
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_xlabel(
        "\N{GREEK SMALL LETTER ALPHA} \N{GREEK SMALL LETTER BETA}² "
        "\N{GREEK SMALL LETTER GAMMA}², nominal cost"
    )
    axes.set_ylabel("realised cost / baseline's")
    count = len(data.candidates)
    axes.set_title(
        f"{data.within_budget_count} of {count} networks cost "
        f"{data.factor:g}x ± {data.tolerance:.0%}"
    )
    narrow = figure_width(axes) < 5
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.22 if narrow else -0.13),
        ncols=2 if narrow else 4,
        columnspacing=1.0,
        handlelength=1.6,
    )
