"""The command that makes a network file of ours of other people's weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AsJson
from scalesearch.errors import ExportError, WeightsError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture
    from scalesearch.weights import SavedNetwork


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
    from scalesearch.weights import import_weights, write_network

    if out.exists() and file.exists() and out.samefile(file):
        raise ExportError(f"--out {out}: need another file than the one imported; name a new one")
    saved_network = import_weights(
        file,
        _network_or_name(network),
        layout,
        fit=True,
        norm_eps=norm_eps,
        class_names=_read_class_names(classes),
    )
    name = saved_network.name or network.rpartition(":")[2]
    path = write_network(out, saved_network.network, saved_network.preparation, name=name, origin=saved_network.origin)
    row = _network_row(path, name, saved_network)
    print_json(row) if as_json else print_table([row])


def _network_or_name(name: str) -> "str | Architecture":
    """A published network's name as it is; else what it names."""
    from scalesearch.cli.sources import require_architecture, read_baseline
    from scalesearch.errors import ArchitectureError
    from scalesearch.weights.layouts import published_network

    if ":" in name:
        from scalesearch.report.networks import network_from_reference, is_network_reference  # with all that searches need

        if is_network_reference(name):
            return require_architecture(network_from_reference(name).network)
    try:
        published_network(name)
    except ArchitectureError:
        if Path(name).suffix in (".yaml", ".yml"):
            return require_architecture(read_baseline(name))
        raise
    return name


def _read_class_names(path: Path | None) -> Sequence[str]:
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


def _network_row(path: Path, name: str, saved_network: "SavedNetwork") -> dict[str, Any]:
    from scalesearch.architectures import Architecture, cost
    from scalesearch.nets import Network

    assert isinstance(saved_network.network, Network)
    assert isinstance(saved_network.architecture, Architecture)
    options, preparation = saved_network.network.options, saved_network.preparation
    return {
        "file": str(path),
        "network": name,
        "origin": saved_network.origin,
        "params": cost(saved_network.architecture).params,
        "classes": saved_network.architecture.num_classes,
        "norm_eps": options.norm_eps,
        "padding": options.padding,
        "pixels": saved_network.architecture.resolution,
        "resized_to": preparation.resize_pixels if preparation else None,
        "mean": list(preparation.mean) if preparation else None,
        "std": list(preparation.std) if preparation else None,
    }
