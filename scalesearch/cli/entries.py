"""NETWORK in commands that time and compare: whatever can be named, with or without weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalesearch.nets import Entry

KINDS = (
    "efficientnet_b0 ... b7, a baseline, a YAML file of stages, FAMILY.json:b2, FOLDER:best, "
    "NETWORK.safetensors, torchvision:NAME or timm:NAME"
)


def entry(text: str) -> "Entry":
    """The network that a text names, under that name. Code is run only within ``code``."""
    from scalesearch.nets import Entry, Network
    from scalesearch.nets.peers import names_peer, peer

    if names_peer(text):
        return Entry(text, peer(text))
    if text.endswith(".safetensors"):
        from scalesearch.weights import read_network

        saved = read_network(text)
        options = saved.network.options if isinstance(saved.network, Network) else None
        return Entry(text, saved.architecture, options)
    from scalesearch.report.networks import held, holds

    if holds(text):
        return Entry(text, held(text).network)
    from scalesearch.cli.sources import named
    from scalesearch.compared import released

    return Entry(text, released(text) or named(text))


def entries(texts: Sequence[str]) -> "list[Entry]":
    """Each once, in their order."""
    return [entry(text) for text in dict.fromkeys(texts)]
