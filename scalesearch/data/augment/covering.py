"""Parts of images that are covered: by the mean, by noise."""

import torch
from torch import Tensor

from scalesearch.data.augment.colour import normalise
from scalesearch.data.augment.view import View


def inside(top_B: Tensor, left_B: Tensor, bottom_B: Tensor, right_B: Tensor, side: int) -> Tensor:
    """Masks (B, 1, side, side) of boxes; what lies beyond the image is cut off."""
    along = torch.arange(side, device=top_B.device)
    rows = (along >= top_B[:, None]) & (along < bottom_B[:, None])
    columns = (along >= left_B[:, None]) & (along < right_B[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def squares(centres_B2: Tensor, width_B: Tensor, side: int) -> Tensor:
    """Masks of squares so many whole pixels wide, about centres in fractions of the side."""
    top, left = ((centres_B2 * side).floor() - (width_B // 2)[:, None]).unbind(1)
    return inside(top, left, top + width_B, left + width_B, side)


def cut_out(images_BCHW: Tensor, centres_B2: Tensor, view: View) -> Tensor:
    """Normalised images with a square of the mean, part of which may lie beyond the border."""
    side = images_BCHW.shape[-1]
    width_B = centres_B2.new_full((len(centres_B2),), round(view.augmentation.cutout * side))
    return images_BCHW.masked_fill(squares(centres_B2, width_B, side), 0)


def erased(images_BCHW: Tensor, boxes_B4: Tensor, seeds_B: Tensor, view: View) -> Tensor:
    """Normalised images with a box of noise: levels that are evenly drawn from 0 to 255."""
    side = images_BCHW.shape[-1]
    top, left, height, width = boxes_B4.unbind(1)
    edges = [(edge * side).round() for edge in (top, left, top + height, left + width)]
    grain = noise(seeds_B, images_BCHW.shape[1:]).to(images_BCHW.dtype)
    normalise(grain, view)
    top, left, bottom, right = edges
    return torch.where(inside(top, left, bottom, right, side), grain, images_BCHW)


def noise(seeds_B: Tensor, shape: torch.Size) -> Tensor:
    """Whole levels (B, *shape), each of a hash of its image's seed and its place.

    So they need neither a generator's state nor memory before the epoch, and are the same on every
    device.
    """
    count = shape.numel()
    places = torch.arange(-(-count // 4), device=seeds_B.device)
    bits = _scattered(_scattered(seeds_B)[:, None] ^ places)
    bytes_B = torch.stack([bits >> shift & 255 for shift in (0, 8, 16, 24)], dim=1).flatten(1)
    return bytes_B[:, :count].view(-1, *shape)


def _scattered(bits: Tensor) -> Tensor:
    """T. Mueller's hash of 32 bits (stackoverflow.com/a/12996028), in 64 that do not overflow."""
    for _ in range(2):
        bits = ((bits >> 16) ^ bits) * 0x45D9F3B & 0xFFFFFFFF
    return (bits >> 16) ^ bits
