"""Losses and accuracies of a run, or of several seeds, by epoch."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scalesearch.errors import SearchError
from scalesearch.figures.style import ACCENT, DOUBLE_COLUMN, FAINT, INK, figure_style, new_figure

MAX_MARKED_EPOCHS = 30  # up to this number of epochs each is a dot


@dataclass(frozen=True, slots=True)
class TrainingCurves:
    """Values by epoch; ``top5`` is None if not recorded, or with up to five classes.

    ``best``: epoch of the highest validation accuracy, the first of equal ones.
    """

    epochs: tuple[int, ...]
    train_loss: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]
    top5: tuple[float, ...] | None
    best_epoch: int


@dataclass(frozen=True, slots=True)
class SeedCurves:
    """Curves of each seed, and their mean over the epochs that all have reached.

    ``sd``: standard deviation over seeds of the accuracy after the last of these epochs; None for
    one seed.
    """

    per_seed: tuple[TrainingCurves, ...]
    mean: TrainingCurves
    sd: float | None


def training_curves(table: pd.DataFrame) -> TrainingCurves:
    """Return the curves of a table of epochs.

    Raises SearchError for a table without rows.
    """
    if table.empty:
        raise SearchError("curves: need an epoch to draw, got none; train first")
    top5 = table["top5"] if "top5" in table else pd.Series(dtype="float64")
    has_top5 = len(top5.dropna()) == len(table) and not (top5 == 1).all()
    return TrainingCurves(
        epochs=tuple(table["epoch"].astype(int)),
        train_loss=tuple(table["train_loss"]),
        loss=tuple(table["loss"]),
        accuracy=tuple(table["accuracy"]),
        top5=tuple(top5) if has_top5 else None,
        best_epoch=int(table["epoch"].iloc[int(table["accuracy"].to_numpy().argmax())]),
    )


def seed_curves(table: pd.DataFrame) -> SeedCurves:
    """Return the curves of a table for ``training_curves`` with the column ``seed``.

    Raises SearchError for a table without rows.
    """
    each = tuple(training_curves(part) for _, part in table.groupby("seed"))
    by_epoch = table.drop(columns="seed").groupby("epoch")
    shared = by_epoch.size() == len(each)
    mean = by_epoch.mean()[shared].reset_index()
    sd = by_epoch["accuracy"].std()[shared].iloc[-1:] if len(each) > 1 else ()
    return SeedCurves(each, training_curves(mean), next(iter(sd), None))


def plot_loss_curves(data: TrainingCurves, axes: Axes) -> None:
    """Draw the cross-entropy of training (with regularisation) and of validation."""
    _plot_line(axes, data, data.train_loss, FAINT, "training")
    _plot_line(axes, data, data.loss, INK, "validation")
    axes.set_title("loss")
    _finish_axes(axes, data)


def plot_accuracy_curves(data: TrainingCurves, axes: Axes) -> None:
    """Draw fractions of the validation images, and mark the best epoch."""
    if data.top5 is not None:
        _plot_line(axes, data, data.top5, FAINT, "top-5")
    _plot_line(axes, data, data.accuracy, INK, "top-1")
    best = data.accuracy[data.epochs.index(data.best_epoch)]
    label = f"best: {best:.1%} at epoch {data.best_epoch}"
    axes.plot([data.best_epoch], [best], "o", color=ACCENT, markersize=4.5, label=label, zorder=3)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_title("validation accuracy")
    _finish_axes(axes, data)


def training_curves_figure(data: TrainingCurves, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw losses and accuracies, side by side."""
    with figure_style():
        fig = new_figure(width, width * 0.4)
        losses, accuracies = fig.subplots(1, 2)
        plot_loss_curves(data, losses)
        plot_accuracy_curves(data, accuracies)
    return fig


def seed_curves_figure(data: SeedCurves, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw losses and accuracies: thin lines for seeds, a thick one for the mean."""
    mean, count = data.mean, len(data.per_seed)
    last = f"{mean.accuracy[-1]:.1%}" + ("" if data.sd is None else f" (sd {data.sd:.1%})")
    with figure_style():
        fig = new_figure(width, width * 0.4)
        losses, accuracies = fig.subplots(1, 2)
        _plot_seed_lines(losses, data, "train_loss", FAINT, "training")
        _plot_seed_lines(losses, data, "loss", INK, "validation")
        losses.set_title(f"loss, {count} seeds and their mean")
        if mean.top5 is not None:
            _plot_seed_lines(accuracies, data, "top5", FAINT, "top-5")
        label = f"top-1: {last} after epoch {mean.epochs[-1]}"
        _plot_seed_lines(accuracies, data, "accuracy", INK, label)
        accuracies.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        accuracies.set_title("validation accuracy")
        for axes in (losses, accuracies):
            _finish_axes(axes, max(data.per_seed, key=lambda seed_curve: len(seed_curve.epochs)))
    return fig


def _plot_seed_lines(axes: Axes, data: SeedCurves, name: str, colour: str, label: str) -> None:
    thin: dict[str, Any] = {"color": colour, "linewidth": 0.5, "markersize": 3, "alpha": 0.7}
    thick: dict[str, Any] = {"color": colour, "linewidth": 1.8, "markersize": 9, "label": label}
    for curve, line_style in [
        *((seed_curve, thin) for seed_curve in data.per_seed),
        (data.mean, thick),
    ]:
        values = getattr(curve, name)
        if values is not None:
            axes.plot(
                curve.epochs, values, marker="." if len(curve.epochs) == 1 else "", **line_style
            )


def _plot_line(
    axes: Axes, data: TrainingCurves, values: tuple[float, ...], colour: str, label: str
) -> None:
    marker = "." if len(data.epochs) <= MAX_MARKED_EPOCHS else ""
    axes.plot(data.epochs, values, color=colour, marker=marker, markersize=4, label=label)


def _finish_axes(axes: Axes, data: TrainingCurves) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if len(data.epochs) == 1:
        axes.set_xlim(data.epochs[0] - 0.5, data.epochs[0] + 0.5)
        axes.set_xticks(data.epochs)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=True, edgecolor="none")  # or the grid would strike through the words
