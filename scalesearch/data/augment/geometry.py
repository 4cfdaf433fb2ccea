"""Where each pixel of a shown image comes from."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from scalesearch.data.augment.view import View

SAMPLED = {"resized_crop", "rotation", "shift"}
"""Kinds of draws by which a pixel comes from between others."""


def placed(
    images_BCHW: Tensor, drawn_B: Mapping[str, Tensor], view: View, resolution: int
) -> Tensor:
    """Each image cropped, mirrored, turned and shifted as its draws say, float32 at a resolution.

    Without draws of ``SAMPLED`` the images are moved by whole pixels, in their own dtype.
    """
    window = view.window(resolution)
    if SAMPLED.isdisjoint(drawn_B):
        return resized(_gathered(images_BCHW, drawn_B, view, window).float(), resolution)
    return resized(_sampled(images_BCHW, drawn_B, view, resolution), resolution)


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


def _gathered(
    images_BCHW: Tensor, drawn_B: Mapping[str, Tensor], view: View, window: int
) -> Tensor:
    """Windows of this side, moved off the centre by each image's own shift, perhaps mirrored.

    What a shift uncovers is the reflection of the image at its border, without repeating the border
    (``F.pad``'s "reflect").
    """
    count, channels, side, _ = images_BCHW.shape
    along = torch.arange(window, device=images_BCHW.device).expand(count, window)
    rows, columns = _stored(along, along, drawn_B, view, side, window)
    # One gather over flattened images: twice as fast as padding each batch and cutting windows.
    sources = (rows[:, :, None] * side + columns[:, None, :]).view(count, 1, window * window)
    flat = images_BCHW.flatten(2).gather(2, sources.expand(-1, channels, -1))
    return flat.view(count, channels, window, window)


def _sampled(
    images_BCHW: Tensor, drawn_B: Mapping[str, Tensor], view: View, resolution: int
) -> Tensor:
    """All of the draws in one bilinear sampling of the stored images.

    The side is the resolution, or the window's where that is greater: what is to get smaller is
    left to ``resized``, which antialiases.
    """
    count, _, side, _ = images_BCHW.shape
    # A window of the draws takes the place of the centre.
    window = side if "resized_crop" in drawn_B else view.window(resolution)
    shown = max(window, resolution)
    along = (torch.arange(shown, device=images_BCHW.device) + 0.5) * (window / shown) - 0.5
    rows, columns = along[:, None].expand(count, -1, shown), along.expand(count, shown, -1)
    rows, columns = _unturned(rows, columns, drawn_B, window)
    if "resized_crop" in drawn_B:
        top, left, height, width = drawn_B["resized_crop"][:, :, None, None].unbind(1)
        rows = (top * window + (rows + 0.5) * height - 0.5).clamp(0, window - 1)
        columns = (left * window + (columns + 0.5) * width - 0.5).clamp(0, window - 1)
    rows, columns = _stored(rows, columns, drawn_B, view, side, window)
    grid_BHW2 = (torch.stack([columns, rows], dim=-1) * 2 + 1) / side - 1
    return F.grid_sample(
        images_BCHW.float(), grid_BHW2, "bilinear", padding_mode="border", align_corners=False
    )


def _unturned(
    rows: Tensor, columns: Tensor, drawn_B: Mapping[str, Tensor], window: int
) -> tuple[Tensor, Tensor]:
    """Where pixels were before a rotation about the centre and a shift; outside, the nearest."""
    middle = (window - 1) / 2
    down, right = rows - middle, columns - middle
    if "shift" in drawn_B:
        shifts = drawn_B["shift"][:, :, None, None] * window
        down, right = down - shifts[:, 0], right - shifts[:, 1]
    if "rotation" in drawn_B:
        angle = drawn_B["rotation"][:, None, None] * (math.pi / 180)
        cos, sin = angle.cos(), angle.sin()
        down, right = cos * down + sin * right, cos * right - sin * down
    return (down + middle).clamp(0, window - 1), (right + middle).clamp(0, window - 1)


def _stored(
    rows: Tensor, columns: Tensor, drawn_B: Mapping[str, Tensor], view: View, side: int, window: int
) -> tuple[Tensor, Tensor]:
    """Where pixels of the shown window, (B, ...), are in the stored images."""
    start = (side - window) // 2
    if view.mirrors:
        mirrored = _beside(drawn_B["flip"] < 0.5, columns)
        columns = torch.where(mirrored, window - 1 - columns, columns)
    if "crop" in drawn_B:
        most = min(round(view.augmentation.crop * window), side - 1)  # as far as reflections reach
        shifts = (drawn_B["crop"] * (2 * most + 1)).long() - most
        rows, columns = rows + _beside(shifts[:, 0], rows), columns + _beside(shifts[:, 1], columns)
    return _reflected(rows + start, side), _reflected(columns + start, side)


def _beside(values_B: Tensor, positions: Tensor) -> Tensor:
    return values_B.view(-1, *[1] * (positions.ndim - 1))


def _reflected(positions: Tensor, side: int) -> Tensor:
    """Positions from 1 - side to 2 * side - 2, mirrored at 0 and at side - 1."""
    positions = positions.abs()
    return torch.minimum(positions, 2 * (side - 1) - positions)
