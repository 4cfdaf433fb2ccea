"""A run's losses and accuracies, epoch by epoch; or those of several seeds."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scalesearch.errors import SearchError
from scalesearch.plots.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, figure, style

ALL_MARKED = 30  # up to so many epochs each is a dot


@dataclass(frozen=True, slots=True)
class Curves:
    """Values at each epoch; ``top5`` is None where there are five classes or fewer, or no record.

    ``best``: the epoch of the greatest validation accuracy, the first of equals.
    """

    epochs: tuple[int, ...]
    train_loss: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    top5: tuple[float, ...] | None
    best: int


@dataclass(frozen=True, slots=True)
class SeedCurves:
    """The curves of each seed, and their mean over the epochs that all of them have reached.

    ``sd``: the standard deviation over seeds of the accuracy after the last of these epochs; None
    for one seed.
    """

    each: tuple[Curves, ...]
    mean: Curves
    sd: float | None


def curves(table: pd.DataFrame) -> Curves:
    """From a table with ``epoch``, ``train_loss``, ``loss``, ``accuracy`` and perhaps ``top5``.

    Raises SearchError for a table without rows.
    """
    if table.empty:
        raise SearchError("curves: need an epoch to draw, got none; train first")
    top5 = table["top5"] if "top5" in table else pd.Series(dtype="float64")
    told = len(top5.dropna()) == len(table) and not (top5 == 1).all()
    return Curves(
        epochs=tuple(table["epoch"].astype(int)),
        train_loss=tuple(table["train_loss"]),
        loss=tuple(table["loss"]),
        accuracy=tuple(table["accuracy"]),
        top5=tuple(top5) if told else None,
        best=int(table["epoch"].iloc[int(table["accuracy"].to_numpy().argmax())]),
    )


def seed_curves(table: pd.DataFrame) -> SeedCurves:
    """From a table as ``curves`` needs it, with ``seed`` besides.

    Raises SearchError for a table without rows.
    """
    each = tuple(curves(part) for _, part in table.groupby("seed"))
    by_epoch = table.drop(columns="seed").groupby("epoch")
    shared = by_epoch.size() == len(each)
    mean = by_epoch.mean()[shared].reset_index()
    sd = by_epoch["accuracy"].std()[shared].iloc[-1:] if len(each) > 1 else ()
    return SeedCurves(each, curves(mean), next(iter(sd), None))


def plot_losses(data: Curves, axes: Axes) -> None:
    """Cross-entropy of training (with all its noise) and of validation."""
    _line(axes, data, data.train_loss, FAINT, "training")
    _line(axes, data, data.loss, INK, "validation")
    axes.set_title("loss")
    _finish(axes, data)


def plot_accuracies(data: Curves, axes: Axes) -> None:
    """Fractions of the validation images, with the best epoch marked."""
    if data.top5 is not None:
        _line(axes, data, data.top5, FAINT, "top-5")
    _line(axes, data, data.accuracy, INK, "top-1")
    best = data.accuracy[data.epochs.index(data.best)]
    label = f"best: {best:.1%} at epoch {data.best}"
    axes.plot([data.best], [best], "o", color=ACCENT, markersize=4.5, label=label, zorder=3)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_title("validation accuracy")
    _finish(axes, data)


def curves_figure(data: Curves, width: float = DOUBLE_COLUMN) -> Figure:
    """Both, side by side."""
    with style():
        drawn = figure(width, width * 0.4)
        losses, accuracies = drawn.subplots(1, 2)
        plot_losses(data, losses)
        plot_accuracies(data, accuracies)
    return drawn


def seeds_figure(data: SeedCurves, width: float = DOUBLE_COLUMN) -> Figure:
    """Losses and accuracies, side by side: each seed a thin line, their mean a thick one."""
    mean, count = data.mean, len(data.each)
    last = f"{mean.accuracy[-1]:.1%}" + ("" if data.sd is None else f" (sd {data.sd:.1%})")
    with style():
        drawn = figure(width, width * 0.4)
        losses, accuracies = drawn.subplots(1, 2)
        _lines(losses, data, "train_loss", FAINT, "training")
        _lines(losses, data, "loss", INK, "validation")
        losses.set_title(f"loss, {count} seeds and their mean")
        if mean.top5 is not None:
            _lines(accuracies, data, "top5", FAINT, "top-5")
        label = f"top-1: {last} after epoch {mean.epochs[-1]}"
        _lines(accuracies, data, "accuracy", INK, label)
        accuracies.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        accuracies.set_title("validation accuracy")
        for axes in (losses, accuracies):
            _finish(axes, max(data.each, key=lambda one: len(one.epochs)))
    return drawn


def _lines(axes: Axes, data: SeedCurves, name: str, colour: str, label: str) -> None:
    thin: dict[str, Any] = {"color": colour, "linewidth": 0.5, "markersize": 3, "alpha": 0.7}
    thick: dict[str, Any] = {"color": colour, "linewidth": 1.8, "markersize": 9, "label": label}
    for one, form in [*((one, thin) for one in data.each), (data.mean, thick)]:
        values = getattr(one, name)
        if values is not None:
            axes.plot(one.epochs, values, marker="." if len(one.epochs) == 1 else "", **form)


def _line(axes: Axes, data: Curves, values: tuple[float, ...], colour: str, label: str) -> None:
    marker = "." if len(data.epochs) <= ALL_MARKED else ""
    axes.plot(data.epochs, values, color=colour, marker=marker, markersize=4, label=label)


def _finish(axes: Axes, data: Curves) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if len(data.epochs) == 1:
        axes.set_xlim(data.epochs[0] - 0.5, data.epochs[0] + 0.5)
        axes.set_xticks(data.epochs)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=True, edgecolor="none")  # or the grid would strike its words through
