"""Network files: weights, architecture and preparation of images in one file.

It is a safetensors file (github.com/huggingface/safetensors). Its metadata holds, as JSON under
``scalesearch``, the architecture, its build options, the preparation, the origin, and a SHA-256 of
all these and the tensors. Reading executes nothing in the file. For a custom model it holds the
name of the code, and reading it needs ``code_allowed``.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import to_json
from scalesearch.architectures.stages import Architecture
from scalesearch.config.validation import validate_document
from scalesearch.data.preparation import Preparation
from scalesearch.errors import ExperimentError, ExportError, WeightsError
from scalesearch.io import write_bytes
from scalesearch.models.network import Network, NetworkOptions, build_model

METADATA_KEY = "scalesearch"
SCHEMA = "scalesearch/network"
VERSION = 1
REQUIRED_KEYS = {"digest", "name", "origin", "architecture", "options", "preparation"}
REWRITE_REMEDY = "copy or write the file again"

LISTED = 8
"""Number of names of each kind in a message; the message also counts all of them."""

Shape = tuple[int, ...]
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedNetwork:
    """Content of a network file."""

    network: nn.Module
    """The network in evaluation mode."""
    architecture: Architecture | CustomModel
    preparation: Preparation | None = None
    """Preparation of images; None if the file has none."""
    name: str = ""
    origin: str = ""
    """Source of the weights, for people."""


def write_network(
    path: str | Path,
    network: nn.Module,
    preparation: Preparation | None = None,
    *,
    architecture: Architecture | CustomModel | None = None,
    name: str = "",
    origin: str = "",
) -> Path:
    """Write a network file completely or not at all; see ``read_network``.

    ``architecture``: needed for custom models only. Raises ExportError if the file cannot be
    written, and ValueError if channels or classes of preparation and network differ.
    """
    path = Path(path)
    architecture = architecture or getattr(network, "architecture", None)
    if architecture is None:
        raise ValueError(f"need the architecture of a {type(network).__name__}, got none")
    if preparation is not None:
        _require_matching_preparation(preparation, architecture)
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
    document["digest"] = _content_hash(document, tensors)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, {METADATA_KEY: json.dumps(document)}))
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written: {error.strerror or error}; choose another path"
        ) from error
    return path


def read_network(path: str | Path) -> SavedNetwork:
    """Read a file of ``write_network`` on the CPU.

    Raises WeightsError for other, truncated or changed files, and ArchitectureError for a custom
    model if code may not run. Memory is allocated only for tensors that the file really holds.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: need a file, got a folder; name its network.safetensors")
    document, tensors = _read_content(path)
    if (
        _content_hash({k: v for k, v in document.items() if k != "digest"}, tensors)
        != document["digest"]
    ):
        raise WeightsError(
            f"{path}: need the content it was written with, got changed content; {REWRITE_REMEDY}"
        )
    architecture = _read_architecture(document["architecture"], path)
    options = _read_optional(NetworkOptions, document["options"], f"{path}: options")
    preparation = _read_optional(Preparation, document["preparation"], f"{path}: preparation")
    if preparation is not None:
        try:
            _require_matching_preparation(preparation, architecture)
        except ValueError as error:
            raise WeightsError(f"{path}: preparation: {error}; {REWRITE_REMEDY}") from error
    return SavedNetwork(
        network=_build_network(path, architecture, options, tensors),
        architecture=architecture,
        preparation=preparation,
        name=str(document["name"]),
        origin=str(document["origin"]),
    )


def weights_hash(network: nn.Module) -> str:
    """Return 16 hexadecimal digits that identify a network's weights, in any file.

    They are a SHA-256 of every tensor's name, type, shape and bytes, and of the options that
    change the network's output. The network's name, class names and a calibrated temperature are
    not part of it.
    """
    options = network.options if isinstance(network, Network) else None
    options_document = None if options is None else [options.norm_eps, options.padding]
    hasher = hashlib.sha256(json.dumps(options_document).encode())
    for name, tensor in sorted(network.state_dict().items()):
        hasher.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()[:16]


def require_same_tensors(
    where: str, expected: Mapping[str, Shape], actual: Mapping[str, Shape], remedy: str
) -> None:
    """Raise WeightsError, with names, for missing, unexpected or misshapen tensors."""
    differences = {
        "missing": [f"{name} {list(expected[name])}" for name in expected if name not in actual],
        "unexpected": [f"{name} {list(actual[name])}" for name in actual if name not in expected],
        "misshapen": [
            f"{name} {list(actual[name])} instead of {list(expected[name])}"
            for name in expected
            if name in actual and tuple(actual[name]) != tuple(expected[name])
        ],
    }
    if any(differences.values()):
        difference_lines = [
            f"  {len(names)} {kind}: {_listed_names(names)}"
            for kind, names in differences.items()
            if names
        ]
        raise WeightsError(
            f"{where}: need the {len(expected)} tensors of the network, got {len(actual)} that "
            f"differ; {remedy}\n" + "\n".join(difference_lines)
        )


def _listed_names(names: Iterable[str]) -> str:
    names = list(names)
    more_text = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more_text


def _read_content(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the document and the tensors of a file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise WeightsError(
                    f"{path}: need a network written by scalesearch, got other tensors; "
                    "`scalesearch import` converts weights of other libraries"
                )
            document = json.loads(text)
            if not isinstance(document, dict) or document.get("schema") != SCHEMA:
                raise ValueError(f"need the schema {SCHEMA}")
            if document.get("version") != VERSION:
                raise ValueError(f"need version {VERSION}, got {document.get('version')}")
            if missing_keys := REQUIRED_KEYS - document.keys():
                raise ValueError(f"need {', '.join(sorted(missing_keys))}, got none")
            return document, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path}: the network file is damaged ({error}); {REWRITE_REMEDY}"
        ) from error


def _read_architecture(document: Any, path: Path) -> Architecture | CustomModel:
    where = f"{path}: architecture"
    if isinstance(document, dict) and "factory" in document:
        return _validate_part(CustomModel, document, where)
    return _validate_part(Architecture, document, where)


def _read_optional(kind: type[Part], document: Any, where: str) -> Part | None:
    return None if document is None else _validate_part(kind, document, where)


def _validate_part(kind: type[Part], document: Any, where: str) -> Part:
    try:
        return validate_document(kind, document, where, [])
    except ExperimentError as error:
        raise WeightsError(f"{error}\n{REWRITE_REMEDY}") from error


def _build_network(
    path: Path,
    architecture: Architecture | CustomModel,
    options: NetworkOptions | None,
    tensors: Mapping[str, Tensor],
) -> nn.Module:
    if isinstance(architecture, CustomModel):
        network = build_model(architecture)
    else:
        stored_numbers = sum(tensor.numel() for tensor in tensors.values())
        if architecture.num_blocks > len(tensors) or cost(architecture).params > stored_numbers:
            raise WeightsError(
                f"{path}: need the tensors of {architecture.num_blocks:,} blocks with "
                f"{cost(architecture).params:,} parameters, got {len(tensors):,} tensors with "
                f"{stored_numbers:,} numbers; {REWRITE_REMEDY}"
            )
        with torch.device("meta"):
            network = build_model(architecture, **asdict(options or NetworkOptions()))
    expected_shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    actual_shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    require_same_tensors(str(path), expected_shapes, actual_shapes, REWRITE_REMEDY)
    for name, network_tensor in network.state_dict().items():
        if _number_kind(tensors[name]) != _number_kind(network_tensor):
            raise WeightsError(
                f"{path}: {name}: need the kind of number of {network_tensor.dtype}, "
                f"got {tensors[name].dtype}; {REWRITE_REMEDY}"
            )
    if not isinstance(architecture, CustomModel):
        network.to_empty(device="cpu")
    network.load_state_dict(dict(tensors))
    return network.eval()


def _number_kind(tensor: Tensor) -> tuple[bool, bool]:
    """Return the kind of a tensor's numbers, which loading would convert silently."""
    return tensor.is_floating_point(), tensor.is_complex() or tensor.dtype == torch.bool


def _require_matching_preparation(
    preparation: Preparation, architecture: Architecture | CustomModel
) -> None:
    if preparation.channels != architecture.in_channels:
        raise ValueError(
            f"need a preparation with the network's {architecture.in_channels} channels, got "
            f"{preparation.channels}"
        )
    names = len(preparation.class_names)
    if names and names != architecture.num_classes:
        raise ValueError(f"need {architecture.num_classes} class names or none, got {names}")


def _content_hash(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the document and all tensors with their names."""
    hasher = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for part in _hashed_bytes(tensors):
        hasher.update(part)
    return hasher.hexdigest()


def _hashed_bytes(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    for name, tensor in sorted(tensors.items()):
        yield f"{name} {tensor.dtype} {list(tensor.shape)}".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
