"""Geometry of augmentation: which stored pixel each shown pixel comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.dataset import Dataset
from scalesearch.errors import DataError

DEFAULT_ZOOM = 1.14
"""The customary 256 pixels for an input of 224."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Statistics of ImageNet's training images, rounded as usual (github.com/pytorch/vision)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTransform:
    """Settings that turn stored images into a network's input.

    ``pixels``: side of the stored images. ``mean``, ``std``: per channel, as fractions of full
    brightness. ``flips``: whether half of the training images are mirrored. ``zoom``: enlargement
    of the centre; it follows the network's own resolution, so the smaller sides of progressive
    training show the same part of the image.
    """

    pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    num_classes: int
    augmentation: Augmentation
    zoom: float = 1.0

    def window(self, resolution: int) -> int:
        """Side of the part of the stored images shown at a resolution.

        Equal to enlarging the image to ``zoom`` times the resolution and cutting out the centre.
        """
        return round(self.pixels * resolution / round(self.zoom * resolution))


def input_transform(dataset: Dataset, recipe: Recipe, resolution: int) -> InputTransform:
    """Transform that a recipe gives a network of this resolution on a data set.

    Raises DataError if ImageNet's statistics are asked for images of neither 1 nor 3 channels.
    """
    augmentation = recipe.augmentation
    mean, std = dataset.mean, dataset.std
    if augmentation.normalisation == "imagenet":
        mean, std = _imagenet_statistics(dataset.channels)
    return InputTransform(
        pixels=dataset.pixels,
        mean=mean,
        std=std,
        flips=dataset.allows_flip if augmentation.flip is None else augmentation.flip,
        num_classes=dataset.num_classes,
        augmentation=augmentation,
        zoom=recipe.evaluation_zoom or default_zoom(dataset.pixels, resolution),
    )


def default_zoom(pixels: int, resolution: int) -> float:
    """Default enlargement of stored images for an input of this resolution."""
    return DEFAULT_ZOOM if pixels > resolution else 1.0


def _imagenet_statistics(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ImageNet's mean and deviation; the mean over its three channels for one channel."""
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    if channels == 1:
        return (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)
    raise DataError(
        f"augmentation.normalisation: ImageNet's statistics are of 3 channels (or 1, grey), got "
        f"images of {channels}; use normalisation: data"
    )


SAMPLED_KINDS = {"resized_crop", "rotation", "shift"}
"""Kinds of draws that need interpolation between stored pixels."""


def apply_geometry(
    images_BCHW: Tensor, draws_B: Mapping[str, Tensor], transform: InputTransform, resolution: int
) -> Tensor:
    """Crop, mirror, rotate and shift each image by its draws, to float32.

    Without draws of ``SAMPLED_KINDS``, images move by whole pixels in their own dtype.
    """
    window = transform.window(resolution)
    if SAMPLED_KINDS.isdisjoint(draws_B):
        return resize_batch(
            _gather_windows(images_BCHW, draws_B, transform, window).float(), resolution
        )
    return resize_batch(_sample_bilinear(images_BCHW, draws_B, transform, resolution), resolution)


def center_crop(images_BCHW: Tensor, window: int) -> Tensor:
    """Central window of this side."""
    start = (images_BCHW.shape[-1] - window) // 2
    return images_BCHW[..., start : start + window, start : start + window]


def resize_batch(images_BCHW: Tensor, resolution: int) -> Tensor:
    """Resize float images; antialiased where they get smaller."""
    if images_BCHW.shape[-1] == resolution:
        return images_BCHW
    size = (resolution, resolution)
    return F.interpolate(images_BCHW, size=size, mode="bilinear", antialias=True)


def _gather_windows(
    images_BCHW: Tensor, draws_B: Mapping[str, Tensor], transform: InputTransform, window: int
) -> Tensor:
    """Windows of this side, shifted from the centre and perhaps mirrored, for each image.

    A shift uncovers the image's reflection at its border, without repeating the border (``F.pad``'s
    "reflect").
    """
    count, channels, side, _ = images_BCHW.shape
    positions = torch.arange(window, device=images_BCHW.device).expand(count, window)
    rows, columns = _to_stored_positions(positions, positions, draws_B, transform, side, window)
    # One gather over flattened images: twice as fast as padding each batch and cutting windows.
    sources = (rows[:, :, None] * side + columns[:, None, :]).view(count, 1, window * window)
    flat = images_BCHW.flatten(2).gather(2, sources.expand(-1, channels, -1))
    return flat.view(count, channels, window, window)


def _sample_bilinear(
    images_BCHW: Tensor, draws_B: Mapping[str, Tensor], transform: InputTransform, resolution: int
) -> Tensor:
    """Apply all draws in one bilinear sampling of the stored images.

    The side is the resolution, or the window's if that is greater: ``resize_batch`` then reduces
    it with antialiasing.
    """
    count, _, side, _ = images_BCHW.shape
    # a window of the draws replaces the centre
    window = side if "resized_crop" in draws_B else transform.window(resolution)
    shown_side = max(window, resolution)
    positions = (torch.arange(shown_side, device=images_BCHW.device) + 0.5) * (
        window / shown_side
    ) - 0.5
    rows, columns = (
        positions[:, None].expand(count, -1, shown_side),
        positions.expand(count, shown_side, -1),
    )
    rows, columns = _undo_rotation_and_shift(rows, columns, draws_B, window)
    if "resized_crop" in draws_B:
        top, left, height, width = draws_B["resized_crop"][:, :, None, None].unbind(1)
        rows = (top * window + (rows + 0.5) * height - 0.5).clamp(0, window - 1)
        columns = (left * window + (columns + 0.5) * width - 0.5).clamp(0, window - 1)
    rows, columns = _to_stored_positions(rows, columns, draws_B, transform, side, window)
    grid_BHW2 = (torch.stack([columns, rows], dim=-1) * 2 + 1) / side - 1
    return F.grid_sample(
        images_BCHW.float(), grid_BHW2, "bilinear", padding_mode="border", align_corners=False
    )


def _undo_rotation_and_shift(
    rows: Tensor, columns: Tensor, draws_B: Mapping[str, Tensor], window: int
) -> tuple[Tensor, Tensor]:
    """Positions before a rotation about the centre and a shift; the nearest if outside."""
    middle = (window - 1) / 2
    down, right = rows - middle, columns - middle
    if "shift" in draws_B:
        shifts = draws_B["shift"][:, :, None, None] * window
        down, right = down - shifts[:, 0], right - shifts[:, 1]
    if "rotation" in draws_B:
        angle = draws_B["rotation"][:, None, None] * (math.pi / 180)
        cos, sin = angle.cos(), angle.sin()
        down, right = cos * down + sin * right, cos * right - sin * down
    return (down + middle).clamp(0, window - 1), (right + middle).clamp(0, window - 1)


def _to_stored_positions(
    rows: Tensor,
    columns: Tensor,
    draws_B: Mapping[str, Tensor],
    transform: InputTransform,
    side: int,
    window: int,
) -> tuple[Tensor, Tensor]:
    """Positions in the stored images of the pixels of the shown window, (B, ...)."""
    start = (side - window) // 2
    if transform.flips:
        is_flipped = _broadcast_to_positions(draws_B["flip"] < 0.5, columns)
        columns = torch.where(is_flipped, window - 1 - columns, columns)
    if "crop" in draws_B:
        max_shift = min(
            round(transform.augmentation.crop * window), side - 1
        )  # reflections reach no further
        shifts = (draws_B["crop"] * (2 * max_shift + 1)).long() - max_shift
        rows, columns = (
            rows + _broadcast_to_positions(shifts[:, 0], rows),
            columns + _broadcast_to_positions(shifts[:, 1], columns),
        )
    return _reflect(rows + start, side), _reflect(columns + start, side)


def _broadcast_to_positions(values_B: Tensor, positions: Tensor) -> Tensor:
    return values_B.view(-1, *[1] * (positions.ndim - 1))


def _reflect(positions: Tensor, side: int) -> Tensor:
    """Reflect positions from 1 - side to 2 * side - 2 at 0 and at side - 1."""
    positions = positions.abs()
    return torch.minimum(positions, 2 * (side - 1) - positions)
