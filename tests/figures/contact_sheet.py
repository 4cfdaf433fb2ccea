"""Images as a network sees them, row by row."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scalesearch.figures.style import DOUBLE_COLUMN, figure_style, new_figure

COLUMNS = 8
CAPTION = 0.18  # inches
TITLE_FONT_SIZE = 6.5  # characters of a title that fit
LETTER_ASPECT = 0.62  # width over height of a letter, rounded up


def contact_sheet(
    images_BCHW: NDArray[np.uint8], titles: Sequence[str], *, columns: int = COLUMNS
) -> Figure:
    """Images of 1 or 3 channels in rows of ``columns``, each under its title, pixel for pixel.

    Raises ValueError if titles and images do not pair.
    """
    if len(images_BCHW) != len(titles):
        raise ValueError(
            f"need a title for each of {len(images_BCHW)} images, got {len(titles)} titles"
        )
    rows = -(-len(titles) // columns)
    letters = max((len(title) for title in titles), default=0) + 1
    font_size = min(TITLE_FONT_SIZE, 72 * DOUBLE_COLUMN / columns / (LETTER_ASPECT * letters))
    with figure_style():
        fig = new_figure(DOUBLE_COLUMN, rows * (DOUBLE_COLUMN / columns + CAPTION))
        grid_options = {"left": 0, "right": 1, "wspace": 0.06}
        panels = fig.subplots(rows, columns, squeeze=False, gridspec_kw=grid_options).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, image_CHW, title in zip(panels, images_BCHW, titles, strict=False):
            axes.set_title(title, loc="center", pad=2, fontsize=font_size)
            if len(image_CHW) == 1:
                axes.imshow(image_CHW[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            else:
                axes.imshow(image_CHW.transpose(1, 2, 0), interpolation="nearest")
    return fig
