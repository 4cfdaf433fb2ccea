"""Where each pixel of a shown image comes from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from scalesearch.data.augment.view import View


def cropped(images_BCHW: Tensor, drawn_B: dict[str, Tensor], view: View, window: int) -> Tensor:
    """Windows of this side, moved off the centre by each image's own shift, perhaps mirrored.

    What a shift uncovers is the reflection of the image at its border, without repeating the border
    (``F.pad``'s "reflect"). Any dtype.
    """
    count, channels, side, _ = images_BCHW.shape
    along = torch.arange(window, device=images_BCHW.device) + (side - window) // 2
    rows = columns = along.expand(count, window)
    if "crop" in drawn_B:
        most = min(round(view.augmentation.crop * window), side - 1)  # as far as reflections reach
        shifts = (drawn_B["crop"] * (2 * most + 1)).long().clamp(max=2 * most) - most
        rows, columns = rows + shifts[:, :1], columns + shifts[:, 1:]
    if view.mirrors:
        columns = torch.where(drawn_B["flip"][:, None] < 0.5, columns.flip(1), columns)
    rows, columns = _reflected(rows, side), _reflected(columns, side)
    # One gather over flattened images: twice as fast as padding each batch and cutting windows.
    sources = (rows[:, :, None] * side + columns[:, None, :]).view(count, 1, window * window)
    flat = images_BCHW.flatten(2).gather(2, sources.expand(-1, channels, -1))
    return flat.view(count, channels, window, window)


def centred(images_BCHW: Tensor, window: int) -> Tensor:
    """The central window of this side."""
    start = (images_BCHW.shape[-1] - window) // 2
    return images_BCHW[..., start : start + window, start : start + window]


def resized(images_BCHW: Tensor, resolution: int) -> Tensor:
    """Float images at a resolution, antialiased where they get smaller."""
    if images_BCHW.shape[-1] == resolution:
        return images_BCHW
    size = (resolution, resolution)
    return F.interpolate(images_BCHW, size=size, mode="bilinear", antialias=True)


def _reflected(indices: Tensor, side: int) -> Tensor:
    """Indices from 1 - side to 2 * side - 2, mirrored at 0 and at side - 1."""
    indices = indices.abs()
    return torch.minimum(indices, 2 * (side - 1) - indices)
