"""Standalone files: written, run, and compared with their network."""

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.deploy.export.parity import random_batches
from scalesearch.deploy.export.standalone.script import python_script_text
from scalesearch.deploy.export.standalone.timm_script import timm_script_text
from scalesearch.deploy.export.standalone.torchvision_script import torchvision_script_text
from scalesearch.deploy.export.torch_export import input_size
from scalesearch.errors import ExportError
from scalesearch.io import write_text
from scalesearch.models.network import NetworkOptions, build_model
from scalesearch.training.network_file import SavedNetwork, write_network

SCRIPT_LOGIT_TOLERANCE = 1e-5
"""Largest difference of a logit in other code, relative to the largest logit."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A network to be written as code. ``saved``: its weights, if any."""

    name: str
    architecture: Architecture | CustomModel
    options: NetworkOptions
    saved_network: SavedNetwork | None = None

    @property
    def stage_architecture(self) -> Architecture:
        """The network as data. Raises ExportError for a custom model."""
        if isinstance(self.architecture, CustomModel):
            raise ExportError(
                f"{self.name}: need a network as data, got code ({self.architecture.factory}), "
                "which is its own standalone form"
            )
        return self.architecture

    @property
    def module_name(self) -> str:
        """The name as a Python module name."""
        return self.name.replace("-", "_").replace(".", "_")


def write_script(exportable: Exportable, folder: Path) -> list[Path]:
    """Write a Python file that needs only torch, with the weights beside it, if any.

    The file is run and its network compared: with weights by its logits, without them by the names
    and shapes of its tensors. Raises ExportError if it cannot be written or differs.
    """
    architecture = exportable.stage_architecture
    path = folder / f"{exportable.module_name}.py"
    paths, saved_network = [path], exportable.saved_network
    weights = path.with_suffix(".safetensors")
    preparation = saved_network.preparation if saved_network else None
    script_source = python_script_text(
        exportable.name,
        architecture,
        exportable.options,
        preparation,
        weights.name if saved_network else "",
    )
    if saved_network is None:
        with torch.device("meta"):
            _require_same_tensors(exportable, _execute_script(script_source, path)["network"]())
    else:
        with tempfile.TemporaryDirectory() as temporary_folder:  # a file that differs is removed
            trial_weights = _write_weights(Path(temporary_folder) / weights.name, saved_network)
            _require_same_logits(
                path,
                _execute_script(script_source, path)["network"](str(trial_weights)),
                saved_network,
            )
        paths.append(_write_weights(weights, saved_network))
    write_text(path, script_source)
    return paths


def write_library_script(exportable: Exportable, folder: Path, library: str) -> tuple[Path, bool]:
    """Write a Python file for ``torchvision`` or ``timm``; return whether it ran.

    It runs if the library can be imported. Raises ExportError if the library cannot build the
    network, or builds another one.
    """
    path = folder / f"{exportable.module_name}_{library}.py"
    architecture = exportable.stage_architecture
    script_source = LIBRARY_SCRIPTS[library](exportable.name, architecture, exportable.options)
    network = _build_with_library(library, script_source, path)
    if network is not None:
        parameter_count, expected_count = (
            sum(parameter.numel() for parameter in network.parameters()),
            cost(architecture).params,
        )
        if parameter_count != expected_count:
            raise ExportError(
                f"{exportable.name}: need {expected_count:,} parameters, got {parameter_count:,} "
                f"from the installed {library}; export it as `python`"
            )
    write_text(path, script_source)
    return path, network is not None


LIBRARY_SCRIPTS: dict[str, Callable[[str, Architecture, NetworkOptions], str]] = {
    "torchvision": torchvision_script_text,
    "timm": timm_script_text,
}
"""Libraries that build networks like ours, and the functions that write their files."""


def _build_with_library(library: str, text: str, path: Path) -> nn.Module | None:
    """Build the network without memory for its weights; None without the library."""
    try:
        importlib.import_module(library)
    except (ImportError, RuntimeError):  # RuntimeError: built for another torch
        return None
    with torch.device("meta"):
        network: nn.Module = _execute_script(text, path)["network"]()
    return network


def _execute_script(text: str, path: Path) -> dict[str, Any]:
    """Run a file's text and return its definitions.

    It contains only our own text, names of letters, digits, dots and dashes, and literals.
    """
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace


def _require_same_tensors(exportable: Exportable, script_network: nn.Module) -> None:
    with torch.device("meta"):
        network = build_model(exportable.stage_architecture)
    if _tensor_shapes(script_network) != _tensor_shapes(network):
        raise ExportError(f"{exportable.name}: the file builds another network; this is our bug")


def _tensor_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _write_weights(path: Path, saved_network: SavedNetwork) -> Path:
    return write_network(
        path,
        saved_network.network,
        saved_network.preparation,
        name=saved_network.name,
        origin=saved_network.origin,
    )


@torch.no_grad()
def _require_same_logits(
    path: Path, script_network: nn.Module, saved_network: SavedNetwork
) -> None:
    (images_BCHW,) = random_batches(*input_size(saved_network), [2])
    reference_logits: Tensor = saved_network.network.eval()(images_BCHW)
    script_logits: Tensor = script_network.eval()(images_BCHW)
    if not torch.allclose(
        script_logits,
        reference_logits,
        rtol=0,
        atol=SCRIPT_LOGIT_TOLERANCE * float(reference_logits.abs().max() or 1),
    ):
        difference = float((script_logits - reference_logits).abs().max())
        raise ExportError(
            f"{path}: its logits are up to {difference:g} from the network's; not written"
        )
