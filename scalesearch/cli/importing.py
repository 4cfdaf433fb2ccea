"""The command that makes a network file of ours of other people's weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AsJson
from scalesearch.errors import ExportError, WeightsError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture
    from scalesearch.weights import Saved


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pth, .safetensors or Keras' .h5.")
    ],
    network: Annotated[
        str,
        typer.Option(
            "--as", metavar="NETWORK", help="efficientnet_b0, a baseline, YAML, FAMILY.json:b2."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="NAME.safetensors, to be written.")],
    layout: Annotated[
        str | None, typer.Option(help="Whose tensors: torchvision, timm, timm-tf, ...")
    ] = None,
    norm_eps: Annotated[
        float | None, typer.Option(min=0, help="Of the norms, where it is not the library's.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their names, one a line; or imagenet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a network file of weights of torchvision, timm, efficientnet_pytorch or Keras."""
    from scalesearch.tables import print_json, print_table
    from scalesearch.weights import imported, write_network

    if out.exists() and file.exists() and out.samefile(file):
        raise ExportError(f"--out {out}: need another file than the one imported; name a new one")
    saved = imported(
        file,
        _network(network),
        layout,
        fit=True,
        norm_eps=norm_eps,
        class_names=_names(classes),
    )
    name = saved.name or network.rpartition(":")[2]
    path = write_network(out, saved.network, saved.preparation, name=name, origin=saved.origin)
    row = _told(path, name, saved)
    print_json(row) if as_json else print_table([row])


def _network(name: str) -> "str | Architecture":
    """A published network's name as it is; else what it names."""
    from scalesearch.cli.sources import as_data, named
    from scalesearch.errors import ArchitectureError
    from scalesearch.weights.layouts import published_network

    if ":" in name:
        from scalesearch.report.networks import held, holds  # with all that searches need

        if holds(name):
            return as_data(held(name).network)
    try:
        published_network(name)
    except ArchitectureError:
        if Path(name).suffix in (".yaml", ".yml"):
            return as_data(named(name))
        raise
    return name


def _names(path: Path | None) -> Sequence[str]:
    """Of a file, or of ImageNet's thousand classes where its name is given."""
    if path is None:
        return ()
    if str(path) == "imagenet":
        from scalesearch.weights.sources import imagenet_classes

        return imagenet_classes()
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"--classes {path}: need a text file of names, got {error}; write one name a line"
        ) from error


def _told(path: Path, name: str, saved: "Saved") -> dict[str, Any]:
    from scalesearch.architectures import Architecture, cost
    from scalesearch.nets import Network

    assert isinstance(saved.network, Network)
    assert isinstance(saved.architecture, Architecture)
    options, prepared = saved.network.options, saved.preparation
    return {
        "file": str(path),
        "network": name,
        "origin": saved.origin,
        "params": cost(saved.architecture).params,
        "classes": saved.architecture.num_classes,
        "norm_eps": options.norm_eps,
        "padding": options.padding,
        "pixels": saved.architecture.resolution,
        "resized_to": prepared.stored if prepared else None,
        "mean": list(prepared.mean) if prepared else None,
        "std": list(prepared.std) if prepared else None,
    }
