"""Networks as files: our own format, and those of others."""

from scalesearch.weights.layouts import LAYOUTS, exported, imported, write_exported
from scalesearch.weights.network_file import Saved, load_network, read_network, write_network
from scalesearch.weights.preparation import Preparation
from scalesearch.weights.sources import PRETRAINED, from_pretrained

__all__ = [
    "LAYOUTS",
    "PRETRAINED",
    "Preparation",
    "Saved",
    "exported",
    "from_pretrained",
    "imported",
    "load_network",
    "read_network",
    "write_exported",
    "write_network",
]
