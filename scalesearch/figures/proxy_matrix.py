"""Rank correlation between lengths of training: a matrix over epochs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from scalesearch.analysis.proxy_check import EpochRankCorrelation
from scalesearch.errors import SearchError
from scalesearch.figures.style import COLOUR_MAP, COLUMN, FAINT, figure_style, new_figure

MAX_DETAILED_EPOCHS = 3
"""Up to this number of epochs, a cell shows its interval and number of candidates."""


@dataclass(frozen=True, slots=True, eq=False)
class RankCorrelationMatrix:
    """Spearman's rank correlation of the same runs at two epochs, with intervals.

    ``values``, ``low``, ``high`` (E, E): by later and earlier epoch of ``epochs``; nan where
    unknown. The diagonal compares an epoch with itself over other seeds: the ceiling set by noise.
    ``candidates`` (E, E): candidates that have both epochs.
    """

    epochs: tuple[int, ...]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    candidates: NDArray[np.int64]


def rank_correlation_matrix(correlations: EpochRankCorrelation) -> RankCorrelationMatrix:
    """Return the matrix; raises SearchError without two epochs to compare."""
    count = len(correlations.epochs)
    if count < 2:
        raise SearchError(f"rank correlation: need two epochs to compare, got {count}")
    values, low, high = np.full((3, count, count), np.nan)
    candidates = np.zeros((count, count), dtype=np.int64)
    for pair in correlations.pairs:
        column, row = (correlations.epochs.index(int(epoch)) for epoch in (pair.one, pair.other))
        candidates[row, column] = pair.candidates
        interval = pair.repeat if row == column else pair.spearman
        if interval is not None:
            values[row, column] = interval.value
            low[row, column], high[row, column] = interval.low, interval.high
    return RankCorrelationMatrix(correlations.epochs, values, low, high, candidates)


def rank_correlation_figure(data: RankCorrelationMatrix, width: float = COLUMN) -> Figure:
    """Return the whole figure in the project's style."""
    with figure_style():
        fig = new_figure(width, min(0.8 * width, 4.0))
        plot_rank_correlation(data, fig.add_subplot())
    return fig


def plot_rank_correlation(data: RankCorrelationMatrix, axes: Axes) -> None:
    """Draw the matrix up to its framed diagonal.

    A cell shows the correlation, its interval and its number of candidates.
    """
    count = len(data.epochs)
    image = axes.imshow(data.values, cmap=COLOUR_MAP, vmin=-1, vmax=1)
    for row in range(count):
        for column in range(row + 1):
            _write_cell(data, row, column, axes)
        if not np.isnan(data.values[row, row]):
            frame: dict[str, Any] = {"facecolor": "none", "edgecolor": "black", "linewidth": 1.0}
            axes.add_patch(Rectangle((row - 0.48, row - 0.48), 0.96, 0.96, **frame))
    names = [str(epoch) for epoch in data.epochs]
    axes.set_xticks(range(count), names)
    axes.set_yticks(range(count), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("ranked after epoch")
    axes.set_ylabel("and after epoch")
    has_diagonal = not np.isnan(np.diag(data.values)).all()
    title = "Rank correlation between epochs"
    axes.set_title(f"{title}\n(framed: with itself, over other seeds)" if has_diagonal else title)
    colour_bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, ticks=[-1, -0.5, 0, 0.5, 1])
    colour_bar.set_label("Spearman's rank correlation")
    colour_bar.outline.set_visible(False)


def _write_cell(data: RankCorrelationMatrix, row: int, column: int, axes: Axes) -> None:
    value, count = data.values[row, column], len(data.epochs)
    alignment: dict[str, Any] = {"ha": "center", "va": "center"}
    if np.isnan(value):
        axes.text(column, row, "?", color=FAINT, **alignment)
        return
    colour = "black" if value > 0.3 else "white"
    if count > MAX_DETAILED_EPOCHS:
        size = max(4.5, 7.5 - 0.4 * (count - MAX_DETAILED_EPOCHS))
        axes.text(column, row, f"{value:.2f}", color=colour, fontsize=size, **alignment)
        return
    axes.text(column, row - 0.16, f"{value:.2f}", color=colour, fontsize=8.5, **alignment)
    low, high = (_short_number(bound[row, column]) for bound in (data.low, data.high))
    detail = f"[{low}, {high}]\nn = {data.candidates[row, column]}"
    size = 7.0 if count < MAX_DETAILED_EPOCHS else 5.8
    axes.text(column, row + 0.18, detail, color=colour, fontsize=size, **alignment)


def _short_number(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}".replace("0.", ".", 1)  # 0, not -0
