"""Networks' tensors as other libraries name and turn them, by one table of layouts."""

from scalesearch.weights.layouts.exporting import to_layout, export_weights
from scalesearch.weights.layouts.files import LayoutState, read_layout_state
from scalesearch.weights.layouts.importing import import_weights
from scalesearch.weights.layouts.layout import Layout, NormSettings
from scalesearch.weights.layouts.members import published_name, published_network
from scalesearch.weights.layouts.table import LAYOUTS

__all__ = [
    "LAYOUTS",
    "Layout",
    "NormSettings",
    "LayoutState",
    "to_layout",
    "import_weights",
    "published_name",
    "published_network",
    "read_layout_state",
    "export_weights",
]
