"""Style of every figure, and files that are equal from run to run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.errors import ExportError

COLUMN = 3.4
DOUBLE_COLUMN = 7.0
"""Width in inches of a figure across two columns."""

INK = "#222222"
FAINT = "#9a9a9a"
ACCENT = "#d55e00"
"""Okabe and Ito's vermilion: distinct from ``COLOUR_MAP`` for all kinds of colour vision."""
BLUE, GREEN, PINK = "#0072b2", "#009e73", "#cc79a7"
ORANGE, SKY_BLUE = "#e69f00", "#56b4e9"
"""The other colours of Okabe and Ito."""
ROLE_COLOURS = {
    "depth": BLUE,
    "width": GREEN,
    "resolution": PINK,
    "uniform": ORANGE,
    "paper": SKY_BLUE,
    "fast": "#7a5195",
}
"""Okabe and Ito's colours of references drawn as lines; each also has its own marker."""
COLOUR_MAP = "cividis"
"""Made for colour-blind readers (doi:10.1371/journal.pone.0199239); prints well in grey."""

STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
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
    """Give figures made and written inside the context the project's style."""
    with mpl.rc_context():
        mpl.rcdefaults()  # ignore the reader's own matplotlibrc
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def new_figure(width: float = COLUMN, height: float | None = None) -> Figure:
    """Return an empty figure, ``width`` inches wide, without pyplot or display."""
    return Figure(figsize=(width, height or width * 0.75), layout="constrained")


def figure_width(axes: Axes) -> float:
    """Return the width of the axes' figure in inches."""
    return axes.figure.get_figure(root=True).get_figwidth()


def write_figure(fig: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path``.png (200 dpi) and ``path``.svg; equal figures give equal bytes.

    Raises ExportError if the files cannot be written.
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
