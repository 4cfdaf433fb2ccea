"""Network files from the weights of other libraries and from published weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.api.network_lookup import read_baseline, require_architecture
from scalesearch.architectures.cost import cost
from scalesearch.architectures.stages import Architecture
from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.network_references import is_network_reference, network_from_reference
from scalesearch.deploy.pretrained.from_source import from_pretrained, imagenet_classes
from scalesearch.deploy.pretrained.published_weights import PRETRAINED
from scalesearch.errors import ArchitectureError, ExportError, WeightsError
from scalesearch.models.named import published_network
from scalesearch.models.network import Network
from scalesearch.reporting.terminal.display import show_weights_download
from scalesearch.training.network_file import SavedNetwork, write_network


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network file that was written."""

    path: Path
    name: str
    network: SavedNetwork

    @property
    def summary_row(self) -> dict[str, Any]:
        """The file, its network and its size, as one row."""
        saved = self.network
        return {
            "file": str(self.path),
            "network": self.name,
            "origin": saved.origin,
            "params": sum(parameter.numel() for parameter in saved.network.parameters()),
            "classes": saved.architecture.num_classes,
            "pixels": saved.preparation.pixels if saved.preparation else None,
        }

    @property
    def full_row(self) -> dict[str, Any]:
        """Everything that decides its logits, as one row."""
        network, architecture = self.network.network, self.network.architecture
        assert isinstance(network, Network)
        assert isinstance(architecture, Architecture)
        preparation = self.network.preparation
        return {
            "file": str(self.path),
            "network": self.name,
            "origin": self.network.origin,
            "params": cost(architecture).params,
            "classes": architecture.num_classes,
            "norm_eps": network.options.norm_eps,
            "padding": network.options.padding,
            "pixels": architecture.resolution,
            "resized_to": preparation.stored if preparation else None,
            "mean": list(preparation.mean) if preparation else None,
            "std": list(preparation.std) if preparation else None,
        }


def import_network(
    file: str | Path,
    network: str,
    out: str | Path,
    *,
    layout: str | None = None,
    norm_eps: float | None = None,
    classes: str | Path | None = None,
) -> NetworkFile:
    """Write a network file from the weights of another library.

    ``network``: the network that the weights belong to. ``layout``: the library whose names the
    tensors have; by default it is recognised. ``norm_eps``: epsilon of the norms, where it is not
    the library's. ``classes``: a text file of class names, or ``imagenet``.
    """
    file, out = Path(file), Path(out)
    if out.exists() and file.exists() and out.samefile(file):
        raise ExportError(
            f"--out {out}: this is the file to import, and would be overwritten; choose another"
        )
    saved_network = import_weights(
        file,
        _network_or_name(network),
        layout,
        fit=True,
        norm_eps=norm_eps,
        class_names=_read_class_names(classes),
    )
    return _write(out, saved_network, saved_network.name or network.rpartition(":")[2])


def _network_or_name(name: str) -> str | Architecture:
    """Return a published network's name as it is, otherwise the network that it names."""
    if ":" in name and is_network_reference(name):
        return require_architecture(network_from_reference(name).network)
    try:
        published_network(name)
    except ArchitectureError:
        if Path(name).suffix in (".yaml", ".yml"):
            return require_architecture(read_baseline(name))
        raise
    return name


def _read_class_names(path: str | Path | None) -> Sequence[str]:
    """Return the lines of a file, or ImageNet's thousand classes for ``imagenet``."""
    if path is None:
        return ()
    if str(path) == "imagenet":
        return imagenet_classes()
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"--classes {path}: need a text file of names, got {error}; write one name a line"
        ) from error


def pretrained_table() -> list[dict[str, Any]]:
    """Return a row for each published file of weights that is known by name."""
    return [weights.row() for weights in PRETRAINED.values()]


def fetch_pretrained(
    source: str,
    out: str | Path | None,
    *,
    network: str | None = None,
    layout: str | None = None,
    sha256: str = "",
    progress: bool = False,
) -> NetworkFile:
    """Download published weights and write a network file.

    ``source``: a name in ``pretrained_table``, an address, or ``hf:OWNER/NAME``. ``network``: the
    network that an address's weights belong to. ``sha256``: digits that the file must have.
    """
    if out is None:
        raise WeightsError(f"{source}: need --out NAME.safetensors for the network, got none")
    options: dict[str, Any] = {"layout": layout, "sha256": sha256}
    if progress:
        with show_weights_download() as on_progress:
            saved = from_pretrained(source, network, progress=on_progress, **options)
    else:
        saved = from_pretrained(source, network, **options)
    return _write(Path(out), saved, saved.name or Path(out).stem)


def _write(out: Path, saved: SavedNetwork, name: str) -> NetworkFile:
    path = write_network(out, saved.network, saved.preparation, name=name, origin=saved.origin)
    return NetworkFile(path, name, saved)
