"""Standalone files written, run and compared with the network that they are of."""

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.errors import ExportError
from scalesearch.export.agreement import random_batches
from scalesearch.export.programs import input_size
from scalesearch.export.standalone.script import script
from scalesearch.export.standalone.timm_script import timm_script
from scalesearch.export.standalone.torchvision_script import torchvision_script
from scalesearch.files import write_text
from scalesearch.nets import Options, build
from scalesearch.weights import Saved, write_network

TOLERANCE = 1e-5
"""How far, relative to the largest, a logit of the same network in other code may be."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A network to be written as code. ``saved``: its weights, where it has any."""

    name: str
    architecture: Architecture | Foreign
    options: Options
    saved: Saved | None = None

    @property
    def described(self) -> Architecture:
        """The network as data. Raises ExportError where code makes it."""
        if isinstance(self.architecture, Foreign):
            raise ExportError(
                f"{self.name}: need a network as data, got code ({self.architecture.factory}), "
                "which is its own standalone form"
            )
        return self.architecture

    @property
    def module_name(self) -> str:
        """The name as Python may import it."""
        return self.name.replace("-", "_").replace(".", "_")


def write_script(exported: Exportable, folder: Path) -> list[Path]:
    """A Python file that needs torch alone, and the weights beside it, where there are any.

    The file is run, and its network compared: with weights by its logits, without them by the names
    and shapes of its tensors. Raises ExportError where it cannot be written or differs.
    """
    architecture = exported.described
    path = folder / f"{exported.module_name}.py"
    written, saved = [path], exported.saved
    weights = path.with_suffix(".safetensors")
    preparation = saved.preparation if saved else None
    text = script(
        exported.name,
        architecture,
        exported.options,
        preparation,
        weights.name if saved else "",
    )
    if saved is None:
        with torch.device("meta"):
            _require_same_tensors(exported, _run(text, path)["network"]())
    else:
        with tempfile.TemporaryDirectory() as tried:  # nothing is left of what differs
            held = _write_weights(Path(tried) / weights.name, saved)
            _require_same_logits(path, _run(text, path)["network"](str(held)), saved)
        written.append(_write_weights(weights, saved))
    write_text(path, text)
    return written


def write_peer_script(exported: Exportable, folder: Path, library: str) -> tuple[Path, bool]:
    """A Python file whose network ``torchvision`` or ``timm`` builds, and whether it did here.

    It is asked to where it can be imported. Raises ExportError where the network cannot be the
    library's, or what it builds is another one.
    """
    path = folder / f"{exported.module_name}_{library}.py"
    architecture = exported.described
    text = SCRIPTS[library](exported.name, architecture, exported.options)
    made = _by_library(library, text, path)
    if made is not None:
        found, wanted = sum(one.numel() for one in made.parameters()), cost(architecture).params
        if found != wanted:
            raise ExportError(
                f"{exported.name}: need {wanted:,} parameters, got {found:,} from the {library} "
                "that is installed; export it as `python`"
            )
    write_text(path, text)
    return path, made is not None


SCRIPTS: dict[str, Callable[[str, Architecture, Options], str]] = {
    "torchvision": torchvision_script,
    "timm": timm_script,
}
"""Libraries that build networks like ours, and what writes files for them."""


def _by_library(library: str, text: str, path: Path) -> nn.Module | None:
    """The network without memory for its weights; None where the library cannot be imported."""
    try:
        importlib.import_module(library)
    except (ImportError, RuntimeError):  # the second: it is another torch's
        return None
    with torch.device("meta"):
        network: nn.Module = _run(text, path)["network"]()
    return network


def _run(text: str, path: Path) -> dict[str, Any]:
    """What a file defines. It holds what we wrote into it, and no text of anybody else but names
    of letters, digits, dots and dashes, and literals."""
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace


def _require_same_tensors(exported: Exportable, made: nn.Module) -> None:
    with torch.device("meta"):
        network = build(exported.described)
    if _shapes(made) != _shapes(network):
        raise ExportError(f"{exported.name}: the file builds another network; this is our bug")


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _write_weights(path: Path, saved: Saved) -> Path:
    return write_network(
        path, saved.network, saved.preparation, name=saved.name, origin=saved.origin
    )


@torch.no_grad()
def _require_same_logits(path: Path, made: nn.Module, saved: Saved) -> None:
    (images_BCHW,) = random_batches(*input_size(saved), [2])
    ours: Tensor = saved.network.eval()(images_BCHW)
    theirs: Tensor = made.eval()(images_BCHW)
    if not torch.allclose(theirs, ours, rtol=0, atol=TOLERANCE * float(ours.abs().max() or 1)):
        apart = float((theirs - ours).abs().max())
        raise ExportError(f"{path}: its logits are up to {apart:g} from the network's; not written")
