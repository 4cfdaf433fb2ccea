"""Weight files written by others, read without running code.

``torch.load(weights_only=True)`` runs nothing, but allows ``bytearray(N)``, which takes as much
memory as a file of fifty bytes asks for, so pickles are examined first. No size that a file claims
for its tensors is trusted. The state dict is taken out of what a trainer saved around it.
"""

import io
import pickle
import pickletools
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from scalesearch.deploy.layouts.keras_weights import read_keras
from scalesearch.errors import WeightsError

ALLOCATING_NAMES = ("builtins bytearray", "__builtin__ bytearray")
LEGACY_PICKLE_COUNT = 5
"""Pickles in a file of the old form, before the bytes of the tensors."""


def require_safe_pickle(path: Path) -> None:
    """Raise WeightsError if a pickle takes memory by a number or is unreadable."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():  # all of them: a name may occur twice
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as file:
                        _require_safe_stream(path, io.BytesIO(file.read()), 1)
    else:
        with path.open("rb") as file:
            _require_safe_stream(path, file, LEGACY_PICKLE_COUNT)


def _require_safe_stream(path: Path, file: IO[bytes], pickle_count: int) -> None:
    names: set[str] = set()
    try:
        while pickle_count and file.read(1):
            file.seek(-1, io.SEEK_CUR)
            pickle_count -= 1
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    names.add(str(argument))
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({error}); copy or download it again"
        ) from error
    if forbidden := names.intersection(ALLOCATING_NAMES):
        forbidden_name = sorted(forbidden)[0].replace(" ", ".")
        raise WeightsError(
            f"{path}: need tensors and plain containers, got {forbidden_name}, which takes as "
            "much memory as the file asks for; save network.state_dict() where the file was made"
        )


WRAPPER_KEYS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "weights",
)
"""Keys of a checkpoint that hold a network, averaged weights first: those were evaluated."""

NAME_PREFIXES = ("module.", "_orig_mod.", "ema_model.", "model.", "net.")
"""Prefixes that wrappers of a module add (DataParallel, torch.compile, an EMA, Lightning)."""

MAX_DEPTH = 8
"""Nested wrappers; a file may contain one that contains itself."""

COUNTER_NAMES = ("n_averaged", "num_updates", "initted", "step")
"""Counters that wrappers keep beside the network."""


def unwrap_state_dict(document: Any, where: str) -> dict[str, Tensor]:
    """Tensors by name. Raises WeightsError, naming the content, if there are none."""
    content = document
    for _ in range(MAX_DEPTH):
        if isinstance(content, Mapping):
            content = next(
                (content[key] for key in WRAPPER_KEYS if isinstance(content.get(key), Mapping)),
                content,
            )
    tensors = (
        {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise WeightsError(
            f"{where}: need a state dict, tensors by name, got {_content_text(content)}; write "
            "one by torch.save(network.state_dict(), FILE)"
        )
    return _without_prefix(tensors)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {name: name for name in tensors if name not in COUNTER_NAMES} or {n: n for n in tensors}
    while prefix := next(
        (
            candidate_prefix
            for candidate_prefix in NAME_PREFIXES
            if all(n.startswith(candidate_prefix) for n in names)
        ),
        "",
    ):
        names = {name.removeprefix(prefix): original for name, original in names.items()}
    return {name: tensors[original] for name, original in names.items()}


def _content_text(content: Any) -> str:
    if isinstance(content, Mapping):
        return "a mapping of " + (", ".join(sorted(map(str, content))[:8]) or "nothing")
    return f"a {type(content).__name__}"


HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURE = b"PK\x03\x04"
PICKLE_SIGNATURE = b"\x80"
KERAS_WEIGHTS_FILE = "model.weights.h5"  # within an archive of Keras

MAX_EXPANSION = 4
"""Largest size of a file's content relative to the file: weights hardly compress."""


@dataclass(frozen=True, slots=True)
class LayoutState:
    """Tensors by their names in a file, and a description of the file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_layout_state(path: str | Path) -> LayoutState:
    """Read the tensors of a PyTorch, safetensors or Keras file.

    Wrappers around a state dict are removed. Raises WeightsError for other files, and for one that
    is damaged, would run code, or is larger inside than outside.
    """
    path = Path(path)
    state = _read_by_signature(path)
    # A tensor may be one repeated number: small in the file, and large when copied.
    _require_plausible_size(
        path, sum(tensor.numel() * tensor.element_size() for tensor in state.tensors.values())
    )
    return state


def _read_by_signature(path: Path) -> LayoutState:
    try:
        with path.open("rb") as file:
            first_bytes = file.read(16)
        if first_bytes.startswith(HDF5_SIGNATURE):
            return LayoutState(read_keras(path, MAX_EXPANSION * path.stat().st_size))
        if first_bytes.startswith(ZIP_SIGNATURE):
            return LayoutState(_read_archive(path))
        if first_bytes.startswith(PICKLE_SIGNATURE):
            return LayoutState(unwrap_state_dict(_load_pickle(path), str(path)))
        if first_bytes[8:9] == b"{":
            with safetensors.safe_open(path, framework="pt") as safetensors_file:
                metadata = dict(safetensors_file.metadata() or {})
            return LayoutState(unwrap_state_dict(load_file(path), str(path)), metadata)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}; copy or download it again") from error
    raise WeightsError(
        f"{path}: need a file of PyTorch (.pth), safetensors or Keras (.h5, .keras), got one that "
        f"begins with {first_bytes!r}; download it again, and check that its address is no web page"
    )


def _read_archive(path: Path) -> dict[str, Tensor]:
    """Read an archive of PyTorch, or of Keras (``.keras``)."""
    try:
        with zipfile.ZipFile(path) as archive:
            _require_plausible_size(path, sum(member.file_size for member in archive.infolist()))
            keras_bytes = (
                archive.read(KERAS_WEIGHTS_FILE)
                if KERAS_WEIGHTS_FILE in archive.namelist()
                else None
            )
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: not a whole file of weights ({error}); copy or download it again"
        ) from error
    if keras_bytes is not None:
        return read_keras(path, MAX_EXPANSION * len(keras_bytes), BytesIO(keras_bytes))
    return unwrap_state_dict(_load_pickle(path), str(path))


def _require_plausible_size(path: Path, content_bytes: int) -> None:
    file_bytes = path.stat().st_size
    if content_bytes > MAX_EXPANSION * file_bytes:
        raise WeightsError(
            f"{path}: need content of about the file's {file_bytes:,} bytes, got "
            f"{content_bytes:,}, which no "
            "file of weights is compressed by; the file was not read"
        )


def _load_pickle(path: Path) -> object:
    """Load what ``torch.save`` wrote; only tensors and plain containers are allowed."""
    try:
        require_safe_pickle(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: need tensors and nothing that has to be executed, got "
            f"{_refused_name(str(error))}; "
            "where you trust it, load it where it was made and save network.state_dict()"
        ) from error
    except Exception as error:  # damaged pickles and archives raise anything
        error_text = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({error_text}); copy or download it again"
        ) from error


def _refused_name(text: str) -> str:
    """Name that a pickle asks for, without PyTorch's advice to allow it."""
    match = re.search(r"GLOBAL ([\w.]+)", text)
    return match[1] if match else "what PyTorch does not open so"
