"""Networks' tensors as other libraries name and turn them, by one table of layouts."""

from scalesearch.weights.layouts.exporting import exported, write_exported
from scalesearch.weights.layouts.files import State, read_state
from scalesearch.weights.layouts.importing import imported
from scalesearch.weights.layouts.layout import Layout, Norms
from scalesearch.weights.layouts.members import member_of, published_network
from scalesearch.weights.layouts.table import LAYOUTS

__all__ = [
    "LAYOUTS",
    "Layout",
    "Norms",
    "State",
    "exported",
    "imported",
    "member_of",
    "published_network",
    "read_state",
    "write_exported",
]
