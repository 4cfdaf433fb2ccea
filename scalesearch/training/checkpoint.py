"""A run between two epochs, as a file that is either whole or not there.

The file is a digest followed by what ``torch.save`` wrote: PyTorch notices a file that is cut off,
but not a changed byte among the weights.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scalesearch.errors import SearchError
from scalesearch.training.job import Epoch

DIGEST_BYTES = 16


def write_checkpoint(
    path: Path,
    traits: Mapping[str, Any],
    history: Sequence[Epoch],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the file by the run's present state; a crash leaves the old one or the new one.

    Raises OSError (a full disk), and leaves the old one then too.
    """
    buffer = io.BytesIO()
    document = {
        "traits": dict(traits),
        "history": [asdict(epoch) for epoch in history],
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
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


def restored(
    path: Path, traits: Mapping[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer
) -> list[Epoch]:
    """Fill network and optimiser from the file, and return the epochs that led there.

    No file: no epochs, and nothing is touched. A damaged one: the same, with a warning, since the
    work can be done again. Raises SearchError for the checkpoint of another run.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    digest, saved = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if digest != _digest(saved):
        warnings.warn(f"{path}: not a whole checkpoint; this run starts over", stacklevel=3)
        return []
    document = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    if document["traits"] != dict(traits):
        raise SearchError(
            f"{path}: a checkpoint is continued only by its own run, but it was written with "
            f"{_differences(document['traits'], traits)}; remove the file or choose another folder"
        )
    network.load_state_dict(document["network"])
    optimizer.load_state_dict(document["optimizer"])
    return [Epoch(**epoch) for epoch in document["history"]]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={theirs.get(name)!r} instead of {ours.get(name)!r}"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name)
    )
