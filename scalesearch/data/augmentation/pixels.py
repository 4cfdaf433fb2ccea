"""Augmentation of pixel values: colours, covered boxes, and mixtures of images.

Pixel values are levels from 0 to 255.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scalesearch.data.augmentation.geometry import InputTransform

MAX_LEVEL = 255
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, which Pillow uses for grey


def jitter_colours(images_BCHW: Tensor, jitter_B4: Tensor, transform: InputTransform) -> Tensor:
    """Multiply brightness, contrast and saturation by factors; turn the hue.

    Saturation and hue need three channels; other images keep theirs.
    """
    factors = jitter_B4[:, :, None, None, None].unbind(1)
    brightness, contrast, saturation, hue = factors
    ranges = transform.augmentation.jitter
    images = images_BCHW
    if ranges[0]:
        images = (images * brightness).clamp(0, MAX_LEVEL)
    if ranges[1]:
        images = _blend(_to_grey(images).mean((2, 3), keepdim=True), images, contrast)
    if ranges[2] and images.shape[1] == 3:
        images = _blend(_to_grey(images), images, saturation)
    if ranges[3] and images.shape[1] == 3:
        images = _adjust_hue(images, hue)
    return images


def normalise(images_BCHW: Tensor, transform: InputTransform) -> None:
    """Normalise in place with the transform's mean and deviation."""
    inverse = channel_levels(transform.std, images_BCHW).reciprocal()
    images_BCHW.mul_(inverse).sub_(
        channel_levels(transform.mean, images_BCHW) * inverse
    )  # adds no division per pixel


def channel_levels(fractions: Sequence[float], images_BCHW: Tensor) -> Tensor:
    """Return a level for each channel, (C, 1, 1), on the images' device.

    Filled on the device: a copy from the host would block and is not possible in a CUDA graph.
    """
    return torch.cat([images_BCHW.new_full((1, 1, 1), MAX_LEVEL * value) for value in fractions])


def _blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return (base + factor * (images - base)).clamp(0, MAX_LEVEL)


def _to_grey(images_BCHW: Tensor) -> Tensor:
    """One channel: the luma of three channels, the mean of any other number."""
    if images_BCHW.shape[1] != 3:
        return images_BCHW.mean(1, keepdim=True)
    red, green, blue = torch.split(images_BCHW, 1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _adjust_hue(images_BCHW: Tensor, turns_B111: Tensor) -> Tensor:
    """Turn the hue on the hexagon of HSV; value and saturation stay."""
    red, green, blue = torch.split(images_BCHW, 1, dim=1)
    value = images_BCHW.amax(1, keepdim=True)
    chroma = value - images_BCHW.amin(1, keepdim=True)
    share = 1 / chroma.clamp_min(1e-6)  # grey has no hue; any value will do
    sixths = torch.where(
        value == red,
        (green - blue) * share,
        torch.where(value == green, 2 + (blue - red) * share, 4 + (red - green) * share),
    )
    sixths = sixths + 6 * turns_B111
    # Distance of each channel below the value: en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB
    # alternative", which needs no cases.
    offsets = torch.cat([(sixths + channel) % 6 for channel in (5, 3, 1)], dim=1)
    return value - chroma * torch.minimum(offsets, 4 - offsets).clamp(0, 1)


def box_masks(
    top_B: Tensor, left_B: Tensor, bottom_B: Tensor, right_B: Tensor, side: int
) -> Tensor:
    """Masks (B, 1, side, side) of boxes, cut off at the image's border."""
    positions = torch.arange(side, device=top_B.device)
    rows = (positions >= top_B[:, None]) & (positions < bottom_B[:, None])
    columns = (positions >= left_B[:, None]) & (positions < right_B[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def square_masks(centres_B2: Tensor, width_B: Tensor, side: int) -> Tensor:
    """Masks of squares of whole pixels, with centres in fractions of the side."""
    top, left = ((centres_B2 * side).floor() - (width_B // 2)[:, None]).unbind(1)
    return box_masks(top, left, top + width_B, left + width_B, side)


def cutout(images_BCHW: Tensor, centres_B2: Tensor, transform: InputTransform) -> Tensor:
    """Cover a square of normalised images with the mean; it may cross the border."""
    side = images_BCHW.shape[-1]
    width_B = centres_B2.new_full((len(centres_B2),), round(transform.augmentation.cutout * side))
    return images_BCHW.masked_fill(square_masks(centres_B2, width_B, side), 0)


def erase(
    images_BCHW: Tensor, boxes_B4: Tensor, seeds_B: Tensor, transform: InputTransform
) -> Tensor:
    """Fill a box of normalised images with noise, uniform over the levels 0 to 255."""
    side = images_BCHW.shape[-1]
    top, left, height, width = boxes_B4.unbind(1)
    edges = [(edge * side).round() for edge in (top, left, top + height, left + width)]
    grain = hash_noise(seeds_B, images_BCHW.shape[1:]).to(images_BCHW.dtype)
    normalise(grain, transform)
    top, left, bottom, right = edges
    return torch.where(box_masks(top, left, bottom, right, side), grain, images_BCHW)


def hash_noise(seeds_B: Tensor, shape: torch.Size) -> Tensor:
    """Levels (B, *shape), each a hash of its image's seed and its position.

    They need neither a generator's state nor memory before the epoch, and are equal on every
    device.
    """
    count = shape.numel()
    places = torch.arange(-(-count // 4), device=seeds_B.device)
    bits = _hash_bits(_hash_bits(seeds_B)[:, None] ^ places)
    bytes_B = torch.stack([bits >> shift & 255 for shift in (0, 8, 16, 24)], dim=1).flatten(1)
    return bytes_B[:, :count].view(-1, *shape)


def _hash_bits(bits: Tensor) -> Tensor:
    """T. Mueller's hash of 32 bits (stackoverflow.com/a/12996028), in 64-bit integers."""
    for _ in range(2):
        bits = ((bits >> 16) ^ bits) * 0x45D9F3B & 0xFFFFFFFF
    return (bits >> 16) ^ bits


def mix_batch(
    images_BCHW: Tensor,
    labels_B: Tensor,
    draws_B: Mapping[str, Tensor],
    num_classes: int,
    strength: float | Tensor,
) -> tuple[Tensor, Tensor]:
    """Mix images with the batch's next image; targets (B, K) are class parts.

    ``strength``: 1 mixes as drawn, 0 not at all. If both kinds were drawn, each image uses one of
    them.
    """
    images, own_B = images_BCHW, images_BCHW.new_ones(len(images_BCHW))
    if "mixup" in draws_B:
        own_B = 1 - strength * (1 - draws_B["mixup"])
        if "mixing" in draws_B:
            own_B = own_B.where(draws_B["mixing"] < 0.5, 1)
        images = _next_image(images_BCHW).lerp(images_BCHW, own_B[:, None, None, None])
    if "cutmix" in draws_B:
        is_pasted_BHW = _cutmix_masks(draws_B, strength, images.shape[-1])
        images = torch.where(is_pasted_BHW, _next_image(images_BCHW), images)
        own_B = own_B * (1 - is_pasted_BHW.float().mean((1, 2, 3)))
    classes = torch.arange(num_classes, device=labels_B.device)
    targets_BK = (labels_B[:, None] == classes).to(own_B.dtype)
    return images, _next_image(targets_BK).lerp(targets_BK, own_B[:, None])


def _cutmix_masks(draws_B: Mapping[str, Tensor], strength: float | Tensor, side: int) -> Tensor:
    """Masks of the boxes taken from the next image, cut off at the border."""
    own_B, centres_B2 = draws_B["cutmix"][:, 0], draws_B["cutmix"][:, 1:]
    pasted_share_B = strength * (1 - own_B)
    if "mixing" in draws_B:
        pasted_share_B = pasted_share_B.where(draws_B["mixing"] >= 0.5, 0)
    return square_masks(centres_B2, (pasted_share_B.sqrt() * side).floor(), side)


def _next_image(rows_B: Tensor) -> Tensor:
    return rows_B.roll(-1, 0)
