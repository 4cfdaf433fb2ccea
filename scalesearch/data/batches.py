"""Batches of stored images and their draws, in an order drawn before the epoch."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.augmentation.pipeline import evaluation_inputs
from scalesearch.data.dataset import Split
from scalesearch.seeding import stream_seed


def epoch_order(count: int, batch_size: int, seed: int) -> Tensor:
    """Image rows of each step, (steps, B); every image at most once.

    Images that do not fill a batch are left out, unless there is no other batch.
    """
    order = torch.from_numpy(np.random.default_rng(stream_seed(seed, "order")).permutation(count))
    size = min(batch_size, count)
    return order[: count // size * size].view(-1, size)


def training_batches(
    split: Split, order: Tensor, draws: Mapping[str, Tensor], device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
    """Return stored images (uint8), labels and draws of each step, on the device.

    ``order``: (steps, B) of ``epoch_order``. ``draws``: one row for each image of the split. For
    resident images no step waits for the host: everything that selects them is on the device
    before.
    """
    draws_on_device = {kind: rows.to(device) for kind, rows in draws.items()}
    order_on_device = order.to(device)
    batches = split.batches(order_on_device if split.is_resident else order, device)
    for rows_B, (images, labels) in zip(order_on_device, batches, strict=True):
        yield images, labels, {kind: rows[rows_B] for kind, rows in draws_on_device.items()}


def evaluation_batches(
    split: Split,
    transform: InputTransform,
    *,
    batch_size: int,
    resolution: int,
    device: torch.device | str,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once in their order, float32 as the network sees them, with labels."""
    order = torch.arange(len(split), device=device if split.is_resident else "cpu")
    rows = torch.split(order, batch_size)
    for images, labels in split.batches(rows, device):
        yield evaluation_inputs(images, transform, resolution), labels
