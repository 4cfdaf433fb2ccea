"""NETWORK in commands that time and compare: whatever can be named, with or without weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalesearch.nets import NamedNetwork

NETWORK_HELP = (
    "efficientnet_b0 ... b7, a baseline, a YAML file of stages, FAMILY.json:b2, FOLDER:best, "
    "NETWORK.safetensors, torchvision:NAME or timm:NAME"
)


def read_named_network(text: str) -> "NamedNetwork":
    """The network that a text names, under that name. Code is run only within ``code``."""
    from scalesearch.nets import NamedNetwork, Network
    from scalesearch.nets.peers import is_external_name, external_network

    if is_external_name(text):
        return NamedNetwork(text, external_network(text))
    if text.endswith(".safetensors"):
        from scalesearch.weights import read_network

        saved_network = read_network(text)
        options = saved_network.network.options if isinstance(saved_network.network, Network) else None
        return NamedNetwork(text, saved_network.architecture, options)
    from scalesearch.report.networks import network_from_reference, is_network_reference

    if is_network_reference(text):
        return NamedNetwork(text, network_from_reference(text).network)
    from scalesearch.cli.sources import read_baseline
    from scalesearch.compared import released_efficientnet

    return NamedNetwork(text, released_efficientnet(text) or read_baseline(text))


def read_named_networks(texts: Sequence[str]) -> "list[NamedNetwork]":
    """Each once, in their order."""
    return [read_named_network(text) for text in dict.fromkeys(texts)]
