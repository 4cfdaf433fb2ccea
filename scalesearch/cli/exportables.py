"""Networks that a command writes as code: with their weights, or from a description alone."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from scalesearch.cli.sources import named

if TYPE_CHECKING:
    from scalesearch.export.standalone import Exportable


def exportables(source: str) -> "list[Exportable]":
    """Of NETWORK: a .safetensors file, all members of FAMILY.json or one (FAMILY.json:b2), a
    search's network (FOLDER:best), or a baseline's name. Raises what their readers raise.
    """
    from scalesearch.export.standalone import Exportable
    from scalesearch.nets import Network, Options
    from scalesearch.weights import read_network

    path = Path(source)
    if path.suffix == ".safetensors":
        saved = read_network(path)
        options = saved.network.options if isinstance(saved.network, Network) else Options()
        return [Exportable(plain(saved.name or path.stem), saved.architecture, options, saved)]
    from scalesearch.report.networks import Held, held, holds, members

    if path.suffix == ".json":
        found = members(path)
    elif holds(source):
        found = [held(source)]
    else:
        network = named(source)
        found = [Held(path.stem, network, network)]
    return [
        Exportable(
            plain(one.name),
            one.network,
            Options(dropout=one.dropout, drop_connect=one.drop_connect),
        )
        for one in found
    ]


def plain(text: str) -> str:
    """A text that can name a file."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-_") or "network"
