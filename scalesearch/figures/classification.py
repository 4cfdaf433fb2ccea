"""Figures of a classifier's predictions: confusion matrix and reliability curves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from scalesearch.figures.style import (
    ACCENT,
    BLUE,
    COLOUR_MAP,
    COLUMN,
    FAINT,
    figure_style,
    new_figure,
)

MAX_CLASSES_WITH_NUMBERS = 12
"""Up to this number of classes, each cell shows its percentage."""
MAX_CLASSES_WITH_NAMES = 40
"""Up to this number of classes, rows and columns have names; beyond, every tenth has a number."""
MAX_NAME_LENGTH = 18


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionMatrix:
    """Fractions ``shares`` (K, K) of a class's images (row) by predicted class.

    A class without images is a row of nan.
    """

    shares: NDArray[np.float64]
    class_names: tuple[str, ...]


def confusion_matrix(
    counts: Sequence[Sequence[int]], class_names: Sequence[str]
) -> ConfusionMatrix:
    """Return the matrix of shares, from counts whose rows are the true classes.

    Raises ValueError for another shape.
    """
    matrix, classes = np.asarray(counts, dtype=np.float64), len(class_names)
    if matrix.shape != (classes, classes):
        raise ValueError(f"need {classes} by {classes} counts, got {matrix.shape}")
    images = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, images, out=np.full_like(matrix, np.nan), where=images > 0)
    return ConfusionMatrix(shares, tuple(class_names))


def plot_confusion(data: ConfusionMatrix, axes: Axes) -> AxesImage:
    """Draw the matrix and return the image for its colour bar."""
    # Square roots make small confusions visible: a class loses a few percent to some others.
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(data.shares, cmap=COLOUR_MAP, norm=scale)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    classes = len(data.class_names)
    axes.tick_params(length=0 if classes <= MAX_CLASSES_WITH_NAMES else 2)
    axes.spines[:].set_visible(False)
    if classes <= MAX_CLASSES_WITH_NAMES:
        names = [_short_name(name) for name in data.class_names]
        axes.set_xticks(range(classes), names, rotation=90)
        axes.set_yticks(range(classes), names)
    else:
        axes.set_xticks(range(0, classes, _tick_step(classes)))
        axes.set_yticks(range(0, classes, _tick_step(classes)))
        axes.set_xlabel("predicted class (number)")
    if classes <= MAX_CLASSES_WITH_NUMBERS:
        _write_percentages(data, axes)
    return image


def confusion_figure(data: ConfusionMatrix) -> Figure:
    """Draw the matrix with a colour bar, as large as its names need."""
    classes = len(data.class_names)
    side = min(7.0, max(3.4, 1.6 + 0.28 * classes)) if classes <= MAX_CLASSES_WITH_NAMES else 5.0
    with figure_style():
        fig = new_figure(side + 0.8, side)
        fig.set_layout_engine("compressed")  # an image of fixed aspect needs this layout
        axes = fig.add_subplot()
        image = plot_confusion(data, axes)
        colour_bar = fig.colorbar(
            image, ax=axes, shrink=0.6, format=PercentFormatter(1, decimals=0)
        )
        colour_bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
        colour_bar.outline.set_visible(False)
        colour_bar.set_label("of the class's images")
    return fig


def _write_percentages(data: ConfusionMatrix, axes: Axes) -> None:
    for (row, column), share in np.ndenumerate(data.shares):
        if share > 0.005:  # no text where the value rounds to 0%
            colour = (
                "black" if share > 0.3 else "white"
            )  # contrast with the middle of the colour map
            axes.text(
                column, row, f"{share:.0%}".rstrip("%"), ha="center", va="center", color=colour
            )


def _tick_step(classes: int) -> int:
    """Return the classes between two ticks (10, 20, 50, ...), at most eleven ticks."""
    steps: Iterator[int] = (factor * 10**power for power in range(1, 9) for factor in (1, 2, 5))
    return next(step for step in steps if classes <= 11 * step)


def _short_name(name: str) -> str:
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"


COLOURS = (ACCENT, BLUE)
MAX_MARK_AREA = 120.0
"""Area in points of a mark that stands for all images."""

Bins = Sequence[tuple[int, float, float]]
"""Images, mean confidence and accuracy of each bin."""


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Accuracy against confidence, and the fraction of all images behind each point."""

    name: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]


def reliability_curves(parts: Mapping[str, Bins]) -> tuple[ReliabilityCurve, ...]:
    """Return a curve for each name, with its expected calibration error in the label.

    Raises ValueError if a part has no images, or for more curves than colours.
    """
    if len(parts) > len(COLOURS) or not all(sum(n for n, _, _ in bins) for bins in parts.values()):
        raise ValueError(f"need up to {len(COLOURS)} parts with images, got {dict(parts)}")
    return tuple(_curve(name, bins) for name, bins in parts.items())


def plot_reliability(curves: Sequence[ReliabilityCurve], axes: Axes) -> None:
    """Draw the curves and the diagonal of perfect calibration."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    for curve, colour in zip(curves, COLOURS, strict=False):
        axes.plot(curve.confidence, curve.accuracy, color=colour, label=curve.name)
        sizes = [MAX_MARK_AREA * share for share in curve.share]
        axes.scatter(curve.confidence, curve.accuracy, s=sizes, color=colour, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.02), handlelength=1.5)


def reliability_figure(curves: Sequence[ReliabilityCurve]) -> Figure:
    """Draw the curves in one column; a mark's area is its fraction of the images."""
    with figure_style():
        fig = new_figure(COLUMN, COLUMN + 0.3)
        plot_reliability(curves, fig.add_subplot())
    return fig


def _curve(name: str, bins: Bins) -> ReliabilityCurve:
    images = sum(count for count, _, _ in bins)
    error = sum(count * abs(right - sure) for count, sure, right in bins) / images
    filled_bins = [bin_ for bin_ in bins if bin_[0]]
    return ReliabilityCurve(
        name=f"{name}: error of calibration {error:.1%}",
        confidence=tuple(sure for _, sure, _ in filled_bins),
        accuracy=tuple(right for _, _, right in filled_bins),
        share=tuple(count / images for count, _, _ in filled_bins),
    )
