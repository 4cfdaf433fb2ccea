"""Networks as files: our own format, and those of others."""

from scalesearch.weights.layouts import LAYOUTS, to_layout, import_weights, export_weights
from scalesearch.weights.network_file import SavedNetwork, load_network, read_network, write_network
from scalesearch.weights.preparation import Preparation
from scalesearch.weights.sources import PRETRAINED, from_pretrained

__all__ = [
    "LAYOUTS",
    "PRETRAINED",
    "Preparation",
    "SavedNetwork",
    "to_layout",
    "from_pretrained",
    "import_weights",
    "load_network",
    "read_network",
    "export_weights",
    "write_network",
]
