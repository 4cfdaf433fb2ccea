"""Networks as ``torch.export`` programs: a graph and its weights, without the code that made it."""

import io
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import to_json
from scalesearch.errors import ExportError
from scalesearch.export.agreement import Agreement, agreement, random_batches, require_equal
from scalesearch.export.extras import quiet
from scalesearch.export.folded import folded
from scalesearch.export.pictures import Pictures, torch_answers
from scalesearch.files import write_bytes
from scalesearch.weights import Saved
from scalesearch.weights.preparation import MOST_PIXELS

DOCUMENT = "scalesearch.json"
"""The name, within a .pt2 file, of what ``metadata`` says."""


def program(network: nn.Module, images_BCHW: Tensor, where: str) -> torch.export.ExportedProgram:
    """The graph of a network in evaluation mode, for batches of any size.

    ``images_BCHW``: an example of at least two images. Raises ExportError for a network of foreign
    code that cannot be traced.
    """
    batch = torch.export.Dim("batch")
    try:
        with quiet():
            return torch.export.export(network, (images_BCHW,), dynamic_shapes=({0: batch},))
    except Exception as error:  # of many kinds, by what the network's code does
        raise ExportError(
            f"{where}: need a network that torch.export can trace for any number of images, got "
            f"{type(error).__name__}: {error}"
        ) from error


def metadata(saved: Saved) -> dict[str, Any]:
    """What a file says of its network beside the weights, as JSON values."""
    preparation = saved.preparation
    return {
        "name": saved.name,
        "origin": saved.origin,
        "architecture": to_json(saved.architecture),
        "class_names": [] if preparation is None else list(preparation.class_names),
        "preparation": None if preparation is None else asdict(preparation),
    }


def write_program(path: Path, saved: Saved, pictures: Pictures | None = None) -> list[Agreement]:
    """Write the network, its norms folded, as a ``torch.export`` program, whole or not at all.

    The file is what ``torch.load``'s successor reads: ``torch.export.load(path).module()``. It is
    opened again before it gets its name, and compared with the network: returned for random images
    and, where there are ``pictures``, for real ones. Raises ExportError where they differ.
    """
    channels, pixels = input_size(saved)
    example = random_batches(channels, pixels, [2])[0]
    made = program(folded(saved.network), example, str(path))
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(made, buffer, extra_files={DOCUMENT: json.dumps(metadata(saved))})
    content = buffer.getvalue()
    opened, _ = _opened(content)
    found = compared(str(path), saved, partial(torch_answers, opened), pictures)
    write_bytes(path, content)
    return found


def read_program(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A program's network and its ``metadata``. Read files of people you trust, as of any graph."""
    try:
        return _opened(path.read_bytes())
    except Exception as error:  # of many kinds, by what is damaged
        raise ExportError(f"{path}: not a whole torch.export program ({error})") from error


def compared(where: str, saved: Saved, answers: Any, pictures: Pictures | None) -> list[Agreement]:
    """Agreement with the network on random images and, where there are some, on real ones.

    Raises ExportError where logits differ.
    """
    own = partial(torch_answers, saved.network)
    kinds = {"random": random_batches(*input_size(saved))}
    if pictures is not None:
        kinds["real"] = pictures.compared()
    found = []
    for kind, batches in kinds.items():
        found.append(agreement(own, answers, batches))
        require_equal(where, found[-1], kind)
    return found


def input_size(saved: Saved) -> tuple[int, int]:
    """Channels and side of the network's input. Raises ExportError for an absurd side, before
    memory is taken for it."""
    architecture: Architecture | Foreign = saved.architecture
    prepared = saved.preparation
    pixels = prepared.pixels if prepared else architecture.resolution
    if pixels > MOST_PIXELS:
        raise ExportError(
            f"{saved.name or 'network'}: need an input of at most {MOST_PIXELS} pixels per side, "
            f"got {pixels}; write its file with a preparation of fewer"
        )
    return architecture.in_channels, pixels


def _opened(content: bytes) -> tuple[nn.Module, dict[str, Any]]:
    files = {DOCUMENT: ""}
    with quiet():
        network = torch.export.load(io.BytesIO(content), extra_files=files).module()
    return network, json.loads(files[DOCUMENT])
