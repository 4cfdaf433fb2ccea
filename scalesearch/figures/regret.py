"""Regret of simulated searches by surface and setting, and their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.errors import SearchError
from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    DOUBLE_COLUMN,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PINK,
    SKY_BLUE,
    figure_style,
    new_figure,
)

TARGET_REGRET = 0.3
"""Points within which a search should come."""
COLOURS = (ACCENT, BLUE, GREEN, PINK, ORANGE, SKY_BLUE)


@dataclass(frozen=True, slots=True)
class RegretBar:
    """A setting on a surface: mean and 90% quantile of its regret, in points.

    Also the mean regret of the fitted surface's pick and of random search at equal cost, where
    known.
    """

    surface: str
    setting: str
    mean: float
    quantile: float
    surface_pick: float | None
    random: float | None


@dataclass(frozen=True, slots=True)
class Regrets:
    """Bars by surface and setting, in the order of the table.

    ``shares``: by setting, its epochs as a fraction of an exhaustive grid's, averaged over
    surfaces.
    """

    surfaces: tuple[str, ...]
    shares: dict[str, float]
    bars: tuple[RegretBar, ...]


def regrets(rows: Sequence[Mapping[str, Any]]) -> Regrets:
    """Return the bars of ``scalesearch simulate``; raises SearchError without rows."""
    if not rows:
        raise SearchError("regrets: need a surface and a setting to draw, got none")
    shares_by_setting: dict[str, list[float]] = {}
    for row in rows:
        shares_by_setting.setdefault(row["setting"], []).append(row["share"])
    return Regrets(
        surfaces=tuple(dict.fromkeys(row["surface"] for row in rows)),
        shares={
            name: sum(epoch_shares) / len(epoch_shares)
            for name, epoch_shares in shares_by_setting.items()
        },
        bars=tuple(
            RegretBar(
                row["surface"],
                row["setting"],
                100 * row["regret"],
                100 * row["regret_90"],
                _points(row["surface_regret"]),
                _points(row["random_regret"]),
            )
            for row in rows
        ),
    )


def regret_figure(data: Regrets, width: float = DOUBLE_COLUMN) -> Figure:
    """Return the whole figure in the project's style."""
    rows = len(data.surfaces) * (len(data.shares) + 1)
    with figure_style():
        fig = new_figure(width, 0.13 * rows + 1.1)
        plot_regrets(data, fig.add_subplot())
    return fig


def plot_regrets(data: Regrets, axes: Axes) -> None:
    """Draw a band for each surface, with a line for each setting.

    A dot marks the mean regret; the line ends at the 90% quantile.
    """
    settings = list(data.shares)
    band = len(settings) + 1
    colour_of = dict(zip(settings, _colours(len(settings)), strict=True))
    for bar in data.bars:
        y = band * data.surfaces.index(bar.surface) + settings.index(bar.setting)
        axes.plot([bar.mean, bar.quantile], [y, y], color=colour_of[bar.setting], linewidth=1)
        axes.plot(bar.mean, y, "o", color=colour_of[bar.setting], markersize=4)
        if bar.surface_pick is not None:
            axes.plot(bar.surface_pick, y, "|", color=INK, markersize=7)
        if bar.random is not None:
            axes.plot(bar.random, y, "x", color=FAINT, markersize=4)
    axes.axvline(TARGET_REGRET, color=INK, linewidth=0.6, linestyle=":")
    middle = (len(settings) - 1) / 2
    axes.set_yticks([band * i + middle for i in range(len(data.surfaces))], data.surfaces)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(left=-0.01)
    axes.set_xlabel("below the best candidate's true accuracy, points")
    for name, share in data.shares.items():
        axes.plot([], [], "o-", color=colour_of[name], markersize=4, label=_label(name, share))
    axes.plot([], [], "|", color=INK, markersize=7, label="pick of the fitted surface")
    axes.plot([], [], "x", color=FAINT, markersize=4, label="random search, equal epochs")
    axes.set_title("Regret of simulated searches: mean, and up to the 90% quantile")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _label(name: str, share: float) -> str:
    return name if share == 1 else f"{name}: {share:.1%} of its epochs"


def _colours(count: int) -> list[str]:
    """Return the colours of the settings; the first is usually the exhaustive grid."""
    return [INK, *(COLOURS[i % len(COLOURS)] for i in range(count))][:count]


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
