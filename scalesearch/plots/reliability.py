"""How often a network is right where it is as sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from scalesearch.plots.style import ACCENT, BLUE, COLUMN, FAINT, new_figure, figure_style

COLOURS = (ACCENT, BLUE)
MAX_MARK_AREA = 120.0
"""Area in points of the mark of all images."""

Bins = Sequence[tuple[int, float, float]]
"""Images, mean confidence, accuracy."""


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Accuracy against confidence, and the fraction of all images behind each point."""

    name: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]


def reliability_curves(parts: Mapping[str, Bins]) -> tuple[ReliabilityCurve, ...]:
    """A curve for each name, with its expected calibration error in the name.

    Raises ValueError where one is of no image, or there are more than can be told apart.
    """
    if len(parts) > len(COLOURS) or not all(sum(n for n, _, _ in bins) for bins in parts.values()):
        raise ValueError(f"need up to {len(COLOURS)} parts with images, got {dict(parts)}")
    return tuple(_curve(name, bins) for name, bins in parts.items())


def plot_reliability(curves: Sequence[ReliabilityCurve], axes: Axes) -> None:
    """Draw the curves; what is as right as it is sure lies on the diagonal."""
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
    """The curves in one column; the area of a mark is the fraction of images behind it."""
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
