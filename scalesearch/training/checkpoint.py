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
from scalesearch.training.job import Epoch
from scalesearch.training.schedules import Patience, Plateau

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A run after an epoch. ``network``, ``optimizer``, ``scaler`` and ``averages`` are their
    ``state_dict``; ``best``: the network of the best epoch, where the run watches for it.

    There is no generator's state: all streams start anew, named by seed and epoch.
    """

    history: list[Epoch]
    plateau: Plateau
    patience: Patience
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    averages: dict[str, Tensor] | None
    best: dict[str, Tensor] | None


def write_checkpoint(path: Path, traits: Mapping[str, Any], state: State) -> None:
    """Replace the file by the run's present state; a crash leaves the old one or the new one.

    Raises OSError (a full disk), and leaves the old one then too.
    """
    buffer = io.BytesIO()
    document = {
        "traits": dict(traits),
        **{f.name: getattr(state, f.name) for f in fields(state)},
        "history": [asdict(epoch) for epoch in state.history],
        "plateau": asdict(state.plateau),
        "patience": asdict(state.patience),
    }
    torch.save(document, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(_digest(buffer.getvalue()))
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name on old blocks
    part.replace(path)


def restored(path: Path, traits: Mapping[str, Any]) -> State | None:
    """The state in the file, its tensors on the CPU; None where there is no file.

    None, with a warning, for a damaged one too, since the work can be done again. Raises
    SearchError for the checkpoint of another run.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    digest, saved = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if digest != _digest(saved):
        warnings.warn(f"{path}: not a whole checkpoint; this run starts over", stacklevel=3)
        return None
    document = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    theirs = document.pop("traits")
    if theirs != dict(traits):
        raise SearchError(
            f"{path}: a checkpoint is continued only by its own run, but it was written with "
            f"{_differences(theirs, traits)}; remove the file or choose another folder"
        )
    document["history"] = [Epoch(**epoch) for epoch in document["history"]]
    document["plateau"] = Plateau(**document["plateau"])
    document["patience"] = Patience(**document["patience"])
    return State(**document)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={theirs.get(name)!r} instead of {ours.get(name)!r}"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    )
