"""Networks that a command writes as code: with their weights, or from a description alone."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scalesearch.cli.sources import read_baseline

if TYPE_CHECKING:
    from scalesearch.export.standalone import Exportable


def read_exportables(source: str) -> "list[Exportable]":
    """Of NETWORK: a .safetensors file, all members of FAMILY.json or one (FAMILY.json:b2), a
    search's network (FOLDER:best), or a baseline's name. Raises what their readers raise.
    """
    from scalesearch.export.standalone import Exportable
    from scalesearch.nets import Network, NetworkOptions
    from scalesearch.weights import read_network

    path = Path(source)
    if path.suffix == ".safetensors":
        saved_network = read_network(path)
        options = saved_network.network.options if isinstance(saved_network.network, Network) else NetworkOptions()
        return [Exportable(to_file_name(saved_network.name or path.stem), saved_network.architecture, options, saved_network)]
    from scalesearch.report.networks import ReferencedNetwork, network_from_reference, is_network_reference, family_networks

    if path.suffix == ".json":
        networks = family_networks(path)
    elif is_network_reference(source):
        networks = [network_from_reference(source)]
    else:
        network = read_baseline(source)
        networks = [ReferencedNetwork(path.stem, network, network)]
    return [
        Exportable(
            to_file_name(network_entry.name),
            network_entry.network,
            NetworkOptions(dropout=network_entry.dropout, drop_connect=network_entry.drop_connect),
        )
        for network_entry in networks
    ]


def to_file_name(text: str) -> str:
    """A text that can name a file."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-_") or "network"
