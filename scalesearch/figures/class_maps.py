"""Grad-CAM figures: for each image, where each network finds the class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scalesearch.figures.style import DOUBLE_COLUMN, FAINT, INK, figure_style, new_figure

HEAT_COLOUR_MAP = "inferno"
"""Evenly bright for all kinds of colour vision, and distinct from a grey image."""
TITLE, CAPTION = 0.5, 0.16  # inches
GRAY_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey image (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True, eq=False)
class GradCamPanel:
    """Maps (N, h, w) of the true class for one network, and its predictions.

    ``factor``: its cost relative to the baseline's.
    """

    series: str
    heatmaps: NDArray[np.float32]
    predictions: tuple[str, ...]
    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class GradCamGrid:
    """Images uint8 (N, C, H, W) with their true classes, and a panel for each network.

    ``stage``: number (from 1) of the stage whose output is mapped; None for the pooled output.
    """

    images: NDArray[np.uint8]
    labels: tuple[str, ...]
    panels: tuple[GradCamPanel, ...]
    stage: int | None = None


def normalized_heatmap(heatmap: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Scale the positive part of a heatmap to a maximum of 1; all 0 if it is empty."""
    positive = np.maximum(np.asarray(heatmap, dtype=np.float64), 0)
    highest = positive.max()
    normalized: NDArray[np.float64] = positive / highest if highest > 0 else positive
    return normalized


def to_grayscale(image_CHW: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return an image of 1 or 3 channels as grey values from 0 to 1."""
    weights = np.array(GRAY_WEIGHTS if len(image_CHW) == 3 else (1.0,))
    gray: NDArray[np.float64] = np.tensordot(weights, image_CHW, axes=1) / 255
    return gray


def gradcam_figure(data: GradCamGrid) -> Figure:
    """Draw a row per image: the image, then each network's heatmap over it in grey."""
    columns, rows = 1 + len(data.panels), len(data.labels)
    side = DOUBLE_COLUMN / columns
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, TITLE + rows * (side + CAPTION))
        panels = fig.subplots(rows, columns, squeeze=False)
        for axes in panels.ravel():
            axes.set_axis_off()
        for row, label in enumerate(data.labels):
            _plot_image(data.images[row], panels[row, 0])
            _caption(panels[row, 0], label, INK)
            for panel, axes in zip(data.panels, panels[row, 1:], strict=True):
                _plot_heat(data.images[row], panel.heatmaps[row], axes)
                is_correct = panel.predictions[row] == label
                mark = "\N{CHECK MARK}" if is_correct else "\N{MULTIPLICATION X}"
                _caption(axes, f"{mark} {panel.predictions[row]}", INK if is_correct else FAINT)
        panels[0, 0].set_title("image", loc="center")
        for panel, axes in zip(data.panels, panels[0, 1:], strict=True):
            axes.set_title(f"{panel.series}\n{panel.factor:.2f}x", loc="center", fontsize=7.5)
        fig.suptitle(_title(data), x=0.01, ha="left", fontsize=8.5)
    return fig


def _title(data: GradCamGrid) -> str:
    method = "CAM" if data.stage is None else f"Grad-CAM after stage {data.stage}"
    return f"Evidence for the true class ({method}), and the predicted class"


def _plot_image(image_CHW: NDArray[np.uint8], axes: Axes) -> None:
    if len(image_CHW) == 3:
        axes.imshow(image_CHW.transpose(1, 2, 0), interpolation="nearest")
    else:
        axes.imshow(image_CHW[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _plot_heat(image_CHW: NDArray[np.uint8], heatmap: NDArray[np.float32], axes: Axes) -> None:
    side = image_CHW.shape[-1]
    extent = (0.0, float(side), float(side), 0.0)
    axes.imshow(to_grayscale(image_CHW), cmap="gray", vmin=0, vmax=1, extent=extent)
    axes.imshow(
        normalized_heatmap(heatmap),
        cmap=HEAT_COLOUR_MAP,
        vmin=0,
        vmax=1,
        alpha=0.6,
        interpolation="bilinear",
        extent=extent,
    )


def _caption(axes: Axes, text: str, colour: str) -> None:
    axes.text(
        0.5,
        -0.03,
        text,
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=6.5,
        color=colour,
    )
