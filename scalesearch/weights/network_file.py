"""One file that is a whole network: its weights, what they are the weights of, and how an image
becomes its input.

The file is a safetensors file (github.com/huggingface/safetensors) whose metadata holds, as JSON
under ``scalesearch``, the architecture, the options it is built with, its preparation, where it
comes from, and the SHA-256 of all this and the tensors. Nothing in it is ever executed; of a
network that code makes it holds the code's name, and reading it needs ``code_allowed``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.architectures.fingerprint import to_json
from scalesearch.errors import ExperimentError, ExportError, WeightsError
from scalesearch.files import write_bytes
from scalesearch.nets import Network, Options, build
from scalesearch.validation import checked
from scalesearch.weights.preparation import Preparation
from scalesearch.weights.state import require_same_tensors

KEY = "scalesearch"
SCHEMA = "scalesearch/network"
VERSION = 1
AGAIN = "copy or write the file again"

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A network as its file has it, in evaluation mode, and what came with it.

    ``preparation``: None where the file does not say how an image becomes the input. ``name``: what
    the network is called. ``origin``: where its weights come from, for people.
    """

    network: nn.Module
    architecture: Architecture | Foreign
    preparation: Preparation | None = None
    name: str = ""
    origin: str = ""


def write_network(
    path: str | Path,
    network: nn.Module,
    preparation: Preparation | None = None,
    *,
    architecture: Architecture | Foreign | None = None,
    name: str = "",
    origin: str = "",
) -> Path:
    """Write a network to a file, whole or not at all; ``load_network`` reads it back exactly.

    ``architecture``: needed for a network that code makes; ours knows its own.
    Raises ExportError where nothing can be written, ValueError for a preparation of another number
    of channels or classes than the network's.
    """
    path = Path(path)
    architecture = architecture or getattr(network, "architecture", None)
    if architecture is None:
        raise ValueError(f"need the architecture of a {type(network).__name__}, got none")
    if preparation is not None:
        _require_for(preparation, architecture)
    tensors = {  # copies: safetensors refuses tensors that share memory, as tied weights do
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "name": name,
        "origin": origin,
        "architecture": to_json(architecture),
        "options": asdict(network.options) if isinstance(network, Network) else None,
        "preparation": None if preparation is None else asdict(preparation),
    }
    document["digest"] = _digest(document, tensors)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, {KEY: json.dumps(document)}))
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return path


def load_network(path: str | Path) -> nn.Module:
    """The network in a file, in evaluation mode; see ``read_network``."""
    return read_network(path).network


def read_network(path: str | Path) -> Saved:
    """The network in a file of ``write_network``, on the CPU, in evaluation mode.

    Raises WeightsError for a file that is none, is cut off or was changed, and ArchitectureError
    for a network that code makes where code may not be run. Memory is allocated only for tensors
    that the file really holds.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: need a file, got a folder; name its network.safetensors")
    document, tensors = _content(path)
    if _digest({k: v for k, v in document.items() if k != "digest"}, tensors) != document["digest"]:
        raise WeightsError(f"{path}: need the content it was written with, got another; {AGAIN}")
    architecture = _architecture(document["architecture"], path)
    options = _part(Options, document["options"], f"{path}: options")
    preparation = _part(Preparation, document["preparation"], f"{path}: preparation")
    if preparation is not None:
        try:
            _require_for(preparation, architecture)
        except ValueError as error:
            raise WeightsError(f"{path}: preparation: {error}; {AGAIN}") from error
    return Saved(
        network=_network(path, architecture, options, tensors),
        architecture=architecture,
        preparation=preparation,
        name=str(document["name"]),
        origin=str(document["origin"]),
    )


def _content(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and the tensors of a file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise WeightsError(
                    f"{path}: need a network written by scalesearch, got other tensors; "
                    "`scalesearch import` makes one of other people's weights"
                )
            document = json.loads(text)
            if not isinstance(document, dict) or document.get("schema") != SCHEMA:
                raise ValueError(f"need the schema {SCHEMA}")
            if document.get("version") != VERSION:
                raise ValueError(f"need version {VERSION}, got {document.get('version')}")
            missing = {"digest", "name", "origin", "architecture", "options", "preparation"}
            if missing := missing - document.keys():
                raise ValueError(f"{', '.join(sorted(missing))} not there")
            return document, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: not a whole network file ({error}); {AGAIN}") from error


def _architecture(document: Any, path: Path) -> Architecture | Foreign:
    where = f"{path}: architecture"
    if isinstance(document, dict) and "factory" in document:
        return _of(Foreign, document, where)
    return _of(Architecture, document, where)


def _part(kind: type[Part], document: Any, where: str) -> Part | None:
    return None if document is None else _of(kind, document, where)


def _of(kind: type[Part], document: Any, where: str) -> Part:
    try:
        return checked(kind, document, where, [])
    except ExperimentError as error:
        raise WeightsError(f"{error}\n{AGAIN}") from error


def _network(
    path: Path,
    architecture: Architecture | Foreign,
    options: Options | None,
    tensors: Mapping[str, Tensor],
) -> nn.Module:
    if isinstance(architecture, Foreign):
        network = build(architecture)
    else:
        held = sum(tensor.numel() for tensor in tensors.values())
        if architecture.blocks > len(tensors) or cost(architecture).params > held:
            raise WeightsError(
                f"{path}: need the tensors of {architecture.blocks:,} blocks with "
                f"{cost(architecture).params:,} parameters, got {len(tensors):,} tensors with "
                f"{held:,} numbers; {AGAIN}"
            )
        with torch.device("meta"):
            network = build(architecture, **asdict(options or Options()))
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    require_same_tensors(str(path), wanted, given, AGAIN)
    for name, own in network.state_dict().items():
        if _kind(tensors[name]) != _kind(own):
            raise WeightsError(
                f"{path}: {name}: need numbers as {own.dtype} has, got {tensors[name].dtype}; "
                f"{AGAIN}"
            )
    if not isinstance(architecture, Foreign):
        network.to_empty(device="cpu")
    network.load_state_dict(dict(tensors))
    return network.eval()


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """Whether its numbers are real ones or whole ones, which loading would make of each other."""
    return tensor.is_floating_point(), tensor.is_complex() or tensor.dtype == torch.bool


def _require_for(preparation: Preparation, architecture: Architecture | Foreign) -> None:
    if preparation.channels != architecture.in_channels:
        raise ValueError(
            f"need a preparation of {architecture.in_channels} channels, as the network has, got "
            f"{preparation.channels}"
        )
    names = len(preparation.class_names)
    if names and names != architecture.num_classes:
        raise ValueError(f"need {architecture.num_classes} class names or none, got {names}")


def _digest(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the document and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for part in _parts(tensors):
        digest.update(part)
    return digest.hexdigest()


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    for name, tensor in sorted(tensors.items()):
        yield f"{name} {tensor.dtype} {list(tensor.shape)}".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
