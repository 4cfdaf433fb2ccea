"""Batches at a candidate's resolution, made on the device from images that stay uint8.

Every random number is drawn on the CPU from the generator that is given, and so are all of them
even where a transformation is off: CPU and CUDA see the same images in the same order, and two
recipes that differ in ``flip`` still see the same crops.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from scalesearch.data.dataset import Split

Batch = tuple[Tensor, Tensor]
"""Float32 images (B, C, R, R) in channels_last order, and int64 labels (B,)."""


def training_batches(
    split: Split,
    *,
    batch_size: int,
    resolution: int,
    mean: Sequence[float],
    std: Sequence[float],
    crop: float,
    flip: bool,
    generator: torch.Generator,
    device: torch.device | str,
) -> Iterator[Batch]:
    """One epoch in an order drawn from ``generator``, each image cropped and mirrored by itself.

    The last batch is left out where it is not full, unless it is the only one.
    """
    here = split.to(device)
    order = torch.randperm(len(here), generator=generator)
    full = len(here) // batch_size * batch_size or len(here)
    for rows in torch.split(order[:full], batch_size):
        rows = rows.to(device)
        images = augmented(here.images[rows], crop, flip, generator)
        yield _prepared(images, resolution, mean, std), here.labels[rows]


def evaluation_batches(
    split: Split,
    *,
    batch_size: int,
    resolution: int,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str,
) -> Iterator[Batch]:
    """All images once, in their order, without anything random."""
    here = split.to(device)
    for start in range(0, len(here), batch_size):
        rows = slice(start, start + batch_size)
        yield _prepared(here.images[rows], resolution, mean, std), here.labels[rows]


def augmented(images_BCHW: Tensor, crop: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Images shifted by up to ``crop`` of their side in each direction, half of them mirrored.

    Each image has its own shift and its own coin. What a shift uncovers is filled with the
    reflection of the image at its border, without repeating the border (``F.pad``'s "reflect").
    Any dtype; ``generator`` must be the CPU's.
    """
    count, channels, side, _ = images_BCHW.shape
    most = min(round(crop * side), side - 1)  # a reflection reaches no further than the image
    shifts = torch.randint(-most, most + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    rows, columns = _reflected(shifts + torch.arange(side), side)
    if flip:
        columns = torch.where(mirrored, columns.flip(1), columns)
    # One gather over flattened images: twice as fast as padding each batch and cutting windows.
    sources = (rows[:, :, None] * side + columns[:, None, :]).to(images_BCHW.device)
    flat_sources = sources.view(count, 1, side * side).expand(-1, channels, -1)
    return images_BCHW.flatten(2).gather(2, flat_sources).view_as(images_BCHW)


def _reflected(indices: Tensor, side: int) -> Tensor:
    """Indices from 1 - side to 2 * side - 2, mirrored at 0 and at side - 1."""
    indices = indices.abs()
    return torch.minimum(indices, 2 * (side - 1) - indices)


def _prepared(
    images_BCHW: Tensor, resolution: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Normalised float32 at ``resolution``, in channels_last order."""
    center, spread = (
        torch.tensor(values, dtype=torch.float32, device=images_BCHW.device).view(-1, 1, 1) * 255
        for values in (mean, std)
    )
    images = images_BCHW.float().sub_(center).div_(spread)
    if images.shape[-1] != resolution:  # weights sum to one: this commutes with normalising
        size = (resolution, resolution)
        images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)
