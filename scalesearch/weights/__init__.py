"""Networks as files: our own format, and those of others."""

from scalesearch.weights.network_file import Saved, load_network, read_network, write_network
from scalesearch.weights.preparation import Preparation

__all__ = ["Preparation", "Saved", "load_network", "read_network", "write_network"]
