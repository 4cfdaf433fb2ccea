"""Figures from tables: for each, a function that computes its numbers and one that draws them."""

from scalesearch.plots.contact_sheet import contact_sheet
from scalesearch.plots.simplex import SimplexData, plot_simplex, simplex, simplex_figure
from scalesearch.plots.style import COLUMN, DOUBLE_COLUMN, new_figure, figure_style, write_figure

__all__ = [
    "COLUMN",
    "DOUBLE_COLUMN",
    "SimplexData",
    "contact_sheet",
    "new_figure",
    "plot_simplex",
    "simplex",
    "simplex_figure",
    "figure_style",
    "write_figure",
]
