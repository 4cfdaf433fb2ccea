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
from scalesearch.weights.layouts.pickles import require_modest
from scalesearch.weights.layouts.unwrapped import unwrapped

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
KERAS = "model.weights.h5"  # within an archive of Keras

MOST_EXPANDED = 4
"""How many times larger than its file a file's content may be: weights hardly compress."""


@dataclass(frozen=True, slots=True)
class State:
    """Tensors by the names that a file has for them, and what it says of them in words."""

    tensors: dict[str, Tensor]
    facts: dict[str, str] = field(default_factory=dict)


def read_state(path: str | Path) -> State:
    """The tensors of a file of PyTorch's, of safetensors or of Keras, known by its first bytes.

    Wrappers about a state dict are taken off. Raises WeightsError for a file that is none of these,
    is damaged, would execute code, or is larger inside than outside.
    """
    path = Path(path)
    state = _state(path)
    # A tensor may be one number repeated: small in the file, and large where it is copied.
    _require_its_own_size(
        path, sum(one.numel() * one.element_size() for one in state.tensors.values())
    )
    return state


def _state(path: Path) -> State:
    try:
        with path.open("rb") as file:
            first = file.read(16)
        if first.startswith(HDF5):
            return State(read_keras(path, MOST_EXPANDED * path.stat().st_size))
        if first.startswith(ZIP):
            return State(_archived(path))
        if first.startswith(PICKLE):
            return State(unwrapped(_unpickled(path), str(path)))
        if first[8:9] == b"{":
            with safetensors.safe_open(path, framework="pt") as opened:
                facts = dict(opened.metadata() or {})
            return State(unwrapped(load_file(path), str(path)), facts)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}; copy or download it again") from error
    raise WeightsError(
        f"{path}: need a file of PyTorch (.pth), safetensors or Keras (.h5, .keras), got one that "
        f"begins with {first!r}; download it again, and see whether its address gives a page"
    )


def _archived(path: Path) -> dict[str, Tensor]:
    """Of the archive that PyTorch writes, or that Keras does (``.keras``)."""
    try:
        with zipfile.ZipFile(path) as archive:
            _require_its_own_size(path, sum(entry.file_size for entry in archive.infolist()))
            of_keras = archive.read(KERAS) if KERAS in archive.namelist() else None
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: not a whole file of weights ({error}); copy or download it again"
        ) from error
    if of_keras is not None:
        return read_keras(path, MOST_EXPANDED * len(of_keras), BytesIO(of_keras))
    return unwrapped(_unpickled(path), str(path))


def _require_its_own_size(path: Path, inside: int) -> None:
    outside = path.stat().st_size
    if inside > MOST_EXPANDED * outside:
        raise WeightsError(
            f"{path}: need content of about the file's {outside:,} bytes, got {inside:,}, which no "
            "file of weights is compressed by; it is refused unread"
        )


def _unpickled(path: Path) -> object:
    """What ``torch.save`` wrote, of which nothing but tensors and plain containers is allowed."""
    try:
        require_modest(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: need tensors and nothing that has to be executed, got {_asked(str(error))}; "
            "where you trust it, load it where it was made and save network.state_dict()"
        ) from error
    except Exception as error:  # whatever a damaged pickle or archive leads to
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise WeightsError(
            f"{path}: not a whole file of torch.save ({told}); copy or download it again"
        ) from error


def _asked(text: str) -> str:
    """What a pickle asks for, without PyTorch's advice to let it have that."""
    found = re.search(r"GLOBAL ([\w.]+)", text)
    return found[1] if found else "what PyTorch does not open so"
