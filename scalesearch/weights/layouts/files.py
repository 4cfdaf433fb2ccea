"""Files of weights that others wrote. Nothing in them is executed, and none is believed about how
large its tensors are."""

import pickle
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from scalesearch.errors import WeightsError
from scalesearch.weights.layouts.keras_files import read_keras
from scalesearch.weights.layouts.pickles import require_safe_pickle
from scalesearch.weights.layouts.unwrapped import unwrap_state_dict

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURE = b"PK\x03\x04"
PICKLE_SIGNATURE = b"\x80"
KERAS_WEIGHTS_FILE = "model.weights.h5"  # within an archive of Keras

MAX_EXPANSION = 4
"""How many times larger than its file a file's content may be: weights hardly compress."""


@dataclass(frozen=True, slots=True)
class LayoutState:
    """Tensors by the names that a file has for them, and what it says of them in words."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_layout_state(path: str | Path) -> LayoutState:
    """The tensors of a file of PyTorch's, of safetensors or of Keras, known by its first bytes.

    Wrappers about a state dict are taken off. Raises WeightsError for a file that is none of these,
    is damaged, would execute code, or is larger inside than outside.
    """
    path = Path(path)
    state = _read_by_signature(path)
    # A tensor may be one number repeated: small in the file, and large where it is copied.
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
        f"begins with {first_bytes!r}; download it again, and see whether its address gives a page"
    )


def _read_archive(path: Path) -> dict[str, Tensor]:
    """Of the archive that PyTorch writes, or that Keras does (``.keras``)."""
    try:
        with zipfile.ZipFile(path) as archive:
            _require_plausible_size(path, sum(member.file_size for member in archive.infolist()))
            keras_bytes = archive.read(KERAS_WEIGHTS_FILE) if KERAS_WEIGHTS_FILE in archive.namelist() else None
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
            f"{path}: need content of about the file's {file_bytes:,} bytes, got {content_bytes:,}, which no "
            "file of weights is compressed by; it is refused unread"
        )


def _load_pickle(path: Path) -> object:
    """What ``torch.save`` wrote, of which nothing but tensors and plain containers is allowed."""
    try:
        require_safe_pickle(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: need tensors and nothing that has to be executed, got {_refused_name(str(error))}; "
            "where you trust it, load it where it was made and save network.state_dict()"
        ) from error
    except Exception as error:  # whatever a damaged pickle or archive leads to
        error_text = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({error_text}); copy or download it again"
        ) from error


def _refused_name(text: str) -> str:
    """What a pickle asks for, without PyTorch's advice to let it have that."""
    match = re.search(r"GLOBAL ([\w.]+)", text)
    return match[1] if match else "what PyTorch does not open so"
