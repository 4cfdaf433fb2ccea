"""The command that fetches published weights."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scalesearch.cli.options import AsJson
from scalesearch.errors import WeightsError


def pretrained(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="efficientnet-b0, ..., https://..., hf:OWNER/NAME; without one, what there is.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="NAME.safetensors, to be written.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--as", metavar="NETWORK", help="Of an address: efficientnet_b0, ..."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Whose tensors: torchvision, timm, timm-tf, ...")
    ] = None,
    sha256: Annotated[
        str, typer.Option(metavar="DIGITS", help="What the file is checked by.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Fetch published weights and make a network file of them, or list those known by name."""
    from scalesearch.progress import show_weights_download
    from scalesearch.tables import print_json, print_table
    from scalesearch.weights import PRETRAINED, from_pretrained, write_network

    if source is None:
        rows = [weights.row() for weights in PRETRAINED.values()]
        display_rows = [{key: row[key] for key in ("name", "pixels", "about")} for row in rows]
        print_json({"pretrained": rows}) if as_json else print_table(display_rows)
        return
    if out is None:
        raise WeightsError(f"{source}: need --out NAME.safetensors for the network, got none")
    with show_weights_download() as progress:
        saved_network = from_pretrained(source, network, layout=layout, sha256=sha256, progress=progress)
    name = saved_network.name or out.stem
    path = write_network(out, saved_network.network, saved_network.preparation, name=name, origin=saved_network.origin)
    row: dict[str, Any] = {
        "file": str(path),
        "network": name,
        "origin": saved_network.origin,
        "params": sum(parameter.numel() for parameter in saved_network.network.parameters()),
        "classes": saved_network.architecture.num_classes,
        "pixels": saved_network.preparation.pixels if saved_network.preparation else None,
    }
    print_json(row) if as_json else print_table([row])
