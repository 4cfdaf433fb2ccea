"""How every figure looks, and how it becomes files that do not change from run to run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.errors import ExportError

COLUMN = 3.4
DOUBLE_COLUMN = 7.0
"""Widths in inches of a figure in one column and across both."""

INK = "#222222"
FAINT = "#9a9a9a"
ACCENT = "#d55e00"
"""Okabe and Ito's vermilion: told from every step of ``COLOUR_MAP`` by all kinds of colour vision.
"""
BLUE = "#0072b2"
ROLE_COLOURS = {
    "depth": BLUE,
    "width": "#009e73",
    "resolution": "#cc79a7",
    "uniform": "#e69f00",
    "paper": "#56b4e9",
    "fast": "#7a5195",
}
"""Okabe and Ito's, for references that are drawn as lines; a mark of their own tells them, too."""
COLOUR_MAP = "cividis"
"""Made for colour-blind readers (doi:10.1371/journal.pone.0199239); it prints well in grey."""

STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "figure.dpi": 100,
    "svg.hashsalt": "scalesearch",  # element ids follow from the content
    "svg.fonttype": "path",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Figures made, and written, within have the house style; outside nothing is changed."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's own matplotlibrc does not change our figures
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def new_figure(width: float = COLUMN, height: float | None = None) -> Figure:
    """An empty figure, ``width`` inches wide; outside pyplot, so no display and no global state."""
    return Figure(figsize=(width, height or width * 0.75), layout="constrained")


def figure_width(axes: Axes) -> float:
    """Of the figure around, in inches."""
    return axes.figure.get_figure(root=True).get_figwidth()


def write_figure(fig: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path``.png (200 dpi) and ``path``.svg; equal figures give equal bytes.

    Raises ExportError where the files cannot be written.
    """
    path = Path(path)
    png, svg = (path.with_name(f"{path.name}.{suffix}") for suffix in ("png", "svg"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with figure_style():
            fig.savefig(png, dpi=200, metadata={"Software": None})
            fig.savefig(svg, metadata={"Date": None, "Creator": "scalesearch"})
    except OSError as error:
        raise ExportError(f"{path}: the figure cannot be written: {error.strerror}") from error
    return png, svg
