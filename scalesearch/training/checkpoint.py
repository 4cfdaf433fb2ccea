"""A run between two epochs, as a file that is either whole or not there.

The file is a digest followed by what ``torch.save`` wrote: PyTorch notices a file that is cut off,
but not a changed byte among the weights.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalesearch.errors import SearchError
from scalesearch.results.run_folder import Epoch
from scalesearch.training.schedules import EarlyStoppingState, PlateauState

HASH_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointState:
    """A run after an epoch. ``network``, ``optimizer``, ``scaler`` and ``averages`` are their
    ``state_dict``; ``best``: the network of the best epoch, where the run watches for it.

    There is no generator's state: all streams start anew, named by seed and epoch.
    """

    history: list[Epoch]
    plateau: PlateauState
    patience: EarlyStoppingState
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averages: dict[str, Tensor] | None
    best: dict[str, Tensor] | None


def write_checkpoint(
    path: Path, identity_fields: Mapping[str, Any], state: CheckpointState
) -> None:
    """Replace the file by the run's present state; a crash leaves the old one or the new one.

    Raises OSError (a full disk), and leaves the old one then too.
    """
    buffer = io.BytesIO()
    document = {
        "traits": dict(identity_fields),
        **{f.name: getattr(state, f.name) for f in fields(state)},
        "history": [asdict(epoch) for epoch in state.history],
        "plateau": asdict(state.plateau),
        "patience": asdict(state.patience),
    }
    torch.save(document, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb") as file:
        file.write(_content_hash(buffer.getvalue()))
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name on old blocks
    temporary.replace(path)


def read_checkpoint(path: Path, identity_fields: Mapping[str, Any]) -> CheckpointState | None:
    """The state in the file, its tensors on the CPU; None where there is no file.

    None, with a warning, for a damaged one too, since the work can be done again. Raises
    SearchError for the checkpoint of another run.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    stored_hash, payload = content[:HASH_BYTES], content[HASH_BYTES:]
    if stored_hash != _content_hash(payload):
        warnings.warn(f"{path}: not a whole checkpoint; this run starts over", stacklevel=3)
        return None
    document = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    stored_fields = document.pop("traits")
    if stored_fields != dict(identity_fields):
        raise SearchError(
            f"{path}: a checkpoint is continued only by its own run, but it was written with "
            f"{_differences(stored_fields, identity_fields)}; remove the file or choose another folder"
        )
    document["history"] = [Epoch(**epoch) for epoch in document["history"]]
    document["plateau"] = PlateauState(**document["plateau"])
    document["patience"] = EarlyStoppingState(**document["patience"])
    return CheckpointState(**document)


def _content_hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=HASH_BYTES).digest()


def _differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={stored.get(name)!r} instead of {current.get(name)!r}"
        for name in sorted(stored.keys() | current.keys())
        if stored.get(name) != current.get(name)
    )
