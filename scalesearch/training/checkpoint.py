"""Checkpoints: the state of a run after an epoch, in a complete file.

The file is a hash followed by the output of ``torch.save``: PyTorch detects a truncated file, but
not a changed byte among the weights.
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
    """State of a run after an epoch; the field names are the keys of the file.

    It holds no generator state, because every random stream starts again from seed and epoch.
    """

    history: list[Epoch]
    """All epochs so far."""
    plateau: PlateauState
    patience: EarlyStoppingState
    network: dict[str, Tensor]
    """State dict of the network."""
    optimizer: dict[str, Any]
    """State dict of the optimiser."""
    scaler: dict[str, Any]
    """State dict of the loss scaler."""
    averages: dict[str, Tensor] | None
    """State dict of the EMA; None if the recipe has none."""
    best: dict[str, Tensor] | None
    """State dict of the network after its best epoch; None without early stopping."""


def write_checkpoint(
    path: Path, identity_fields: Mapping[str, Any], state: CheckpointState
) -> None:
    """Replace the file by the current state; a crash leaves the old or the new file.

    Raises OSError (for example for a full disk), which also leaves the old file.
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
        os.fsync(file.fileno())  # without it a power cut could leave the new name on old blocks
    temporary.replace(path)


def read_checkpoint(path: Path, identity_fields: Mapping[str, Any]) -> CheckpointState | None:
    """Read the state from the file, with tensors on the CPU; None without a file.

    A damaged file also gives None, with a warning, because the work can be repeated. Raises
    SearchError for the checkpoint of another run.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    stored_hash, payload = content[:HASH_BYTES], content[HASH_BYTES:]
    if stored_hash != _content_hash(payload):
        warnings.warn(f"{path}: the checkpoint is damaged; this run starts again", stacklevel=3)
        return None
    document = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    stored_fields = document.pop("traits")
    if stored_fields != dict(identity_fields):
        raise SearchError(
            f"{path}: need a checkpoint of this run, got one written with "
            f"{_differences(stored_fields, identity_fields)}; "
            "remove the file or choose another folder"
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
