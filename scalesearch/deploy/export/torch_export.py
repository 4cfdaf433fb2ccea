"""Networks as ``torch.export`` programs: a graph and its weights."""

import io
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import to_json
from scalesearch.architectures.stages import Architecture
from scalesearch.data.preparation import MAX_PIXELS
from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.parity import (
    Parity,
    parity,
    random_batches,
    require_close_logits,
    silence_exporters,
)
from scalesearch.deploy.export.sample_images import ImageSet, torch_logits
from scalesearch.errors import ExportError
from scalesearch.io import write_bytes
from scalesearch.training.network_file import SavedNetwork

METADATA_FILE = "scalesearch.json"
"""Name of our metadata within a .pt2 file."""


def export_program(
    network: nn.Module, images_BCHW: Tensor, where: str
) -> torch.export.ExportedProgram:
    """Return the graph of a network in evaluation mode, for batches of any size.

    ``images_BCHW``: an example of at least two images. Raises ExportError for a custom model that
    cannot be traced.
    """
    batch = torch.export.Dim("batch")
    try:
        with silence_exporters():
            return torch.export.export(network, (images_BCHW,), dynamic_shapes=({0: batch},))
    except Exception as error:  # a network's code may raise anything
        raise ExportError(
            f"{where}: need a network that torch.export can trace for any number of images, got "
            f"{type(error).__name__}: {error}"
        ) from error


def network_metadata(saved_network: SavedNetwork) -> dict[str, Any]:
    """Return a file's description of its network, as JSON values."""
    preparation = saved_network.preparation
    return {
        "name": saved_network.name,
        "origin": saved_network.origin,
        "architecture": to_json(saved_network.architecture),
        "class_names": [] if preparation is None else list(preparation.class_names),
        "preparation": None if preparation is None else asdict(preparation),
    }


def write_program(
    path: Path, saved_network: SavedNetwork, image_set: ImageSet | None = None
) -> list[Parity]:
    """Write the network with folded norms as a ``torch.export`` program.

    ``torch.export.load(path).module()`` reads it. It is opened again before it gets its name, and
    compared with the network: the parities on random images and, with an ``image_set``, on real
    ones are returned. Raises ExportError if the logits differ.
    """
    channels, pixels = input_size(saved_network)
    example_BCHW = random_batches(channels, pixels, [2])[0]
    exported_program = export_program(
        fold_batch_norms(saved_network.network), example_BCHW, str(path)
    )
    buffer = io.BytesIO()
    with silence_exporters():
        torch.export.save(
            exported_program,
            buffer,
            extra_files={METADATA_FILE: json.dumps(network_metadata(saved_network))},
        )
    content = buffer.getvalue()
    loaded_network, _ = _load_program(content)
    parities = check_parity(
        str(path), saved_network, partial(torch_logits, loaded_network), image_set
    )
    write_bytes(path, content)
    return parities


def read_program(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return a program's network and metadata. Only read files of people you trust."""
    try:
        return _load_program(path.read_bytes())
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path}: not a whole torch.export program ({error})") from error


def check_parity(
    where: str, saved_network: SavedNetwork, exported_logits: Any, image_set: ImageSet | None
) -> list[Parity]:
    """Compare logits with the network's on random images and, if any, on real ones.

    Raises ExportError if they differ.
    """
    reference_logits = partial(torch_logits, saved_network.network)
    batches_by_kind = {"random": random_batches(*input_size(saved_network))}
    if image_set is not None:
        batches_by_kind["real"] = image_set.parity_batches()
    parities = []
    for kind, batches in batches_by_kind.items():
        parities.append(parity(reference_logits, exported_logits, batches))
        require_close_logits(where, parities[-1], kind)
    return parities


def input_size(saved_network: SavedNetwork) -> tuple[int, int]:
    """Channels and side of the network's input.

    Raises ExportError for an absurd side, before memory is taken for it.
    """
    architecture: Architecture | CustomModel = saved_network.architecture
    preparation = saved_network.preparation
    pixels = preparation.pixels if preparation else architecture.resolution
    if pixels > MAX_PIXELS:
        raise ExportError(
            f"{saved_network.name or 'network'}: need an input of at most {MAX_PIXELS} pixels per "
            f"side, got {pixels}; write its file with a preparation of fewer"
        )
    return architecture.in_channels, pixels


def _load_program(content: bytes) -> tuple[nn.Module, dict[str, Any]]:
    extra_files = {METADATA_FILE: ""}
    with silence_exporters():
        network = torch.export.load(io.BytesIO(content), extra_files=extra_files).module()
    return network, json.loads(extra_files[METADATA_FILE])
