"""Parts of images that are covered: by the mean, by noise."""

import torch
from torch import Tensor

from scalesearch.data.augment.colour import normalise
from scalesearch.data.augment.view import InputTransform


def box_masks(top_B: Tensor, left_B: Tensor, bottom_B: Tensor, right_B: Tensor, side: int) -> Tensor:
    """Masks (B, 1, side, side) of boxes; what lies beyond the image is cut off."""
    positions = torch.arange(side, device=top_B.device)
    rows = (positions >= top_B[:, None]) & (positions < bottom_B[:, None])
    columns = (positions >= left_B[:, None]) & (positions < right_B[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def square_masks(centres_B2: Tensor, width_B: Tensor, side: int) -> Tensor:
    """Masks of squares so many whole pixels wide, about centres in fractions of the side."""
    top, left = ((centres_B2 * side).floor() - (width_B // 2)[:, None]).unbind(1)
    return box_masks(top, left, top + width_B, left + width_B, side)


def cutout(images_BCHW: Tensor, centres_B2: Tensor, transform: InputTransform) -> Tensor:
    """Normalised images with a square of the mean, part of which may lie beyond the border."""
    side = images_BCHW.shape[-1]
    width_B = centres_B2.new_full((len(centres_B2),), round(transform.augmentation.cutout * side))
    return images_BCHW.masked_fill(square_masks(centres_B2, width_B, side), 0)


def erase(images_BCHW: Tensor, boxes_B4: Tensor, seeds_B: Tensor, transform: InputTransform) -> Tensor:
    """Normalised images with a box of noise: levels that are evenly drawn from 0 to 255."""
    side = images_BCHW.shape[-1]
    top, left, height, width = boxes_B4.unbind(1)
    edges = [(edge * side).round() for edge in (top, left, top + height, left + width)]
    grain = hash_noise(seeds_B, images_BCHW.shape[1:]).to(images_BCHW.dtype)
    normalise(grain, transform)
    top, left, bottom, right = edges
    return torch.where(box_masks(top, left, bottom, right, side), grain, images_BCHW)


def hash_noise(seeds_B: Tensor, shape: torch.Size) -> Tensor:
    """Whole levels (B, *shape), each of a hash of its image's seed and its place.

    So they need neither a generator's state nor memory before the epoch, and are the same on every
    device.
    """
    count = shape.numel()
    places = torch.arange(-(-count // 4), device=seeds_B.device)
    bits = _hash_bits(_hash_bits(seeds_B)[:, None] ^ places)
    bytes_B = torch.stack([bits >> shift & 255 for shift in (0, 8, 16, 24)], dim=1).flatten(1)
    return bytes_B[:, :count].view(-1, *shape)


def _hash_bits(bits: Tensor) -> Tensor:
    """T. Mueller's hash of 32 bits (stackoverflow.com/a/12996028), in 64 that do not overflow."""
    for _ in range(2):
        bits = ((bits >> 16) ^ bits) * 0x45D9F3B & 0xFFFFFFFF
    return (bits >> 16) ^ bits
