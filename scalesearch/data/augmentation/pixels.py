"""What becomes of the pixels' values, which are levels from 0 to 255.

Parts of images that are covered: by the mean, by noise.

Images, and their labels, mixed with those of the batch's next image.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scalesearch.data.augmentation.geometry import InputTransform

MAX_LEVEL = 255
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, by which Pillow turns grey


def jitter_colours(images_BCHW: Tensor, jitter_B4: Tensor, transform: InputTransform) -> Tensor:
    """Brightness, contrast and saturation times a factor each, then the hue turned.

    Saturation and hue are of colours: images that have not three channels keep theirs.
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
    """Bring the view's mean to 0 and its deviation to 1, in place."""
    inverse = channel_levels(transform.std, images_BCHW).reciprocal()
    images_BCHW.mul_(inverse).sub_(
        channel_levels(transform.mean, images_BCHW) * inverse
    )  # divides no pixel


def channel_levels(fractions: Sequence[float], images_BCHW: Tensor) -> Tensor:
    """A level for each channel, (C, 1, 1), beside the images.

    Filled on the device: a copy from the host would wait for it, and fit in no CUDA graph.
    """
    return torch.cat([images_BCHW.new_full((1, 1, 1), MAX_LEVEL * value) for value in fractions])


def _blend(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return (base + factor * (images - base)).clamp(0, MAX_LEVEL)


def _to_grey(images_BCHW: Tensor) -> Tensor:
    """One channel: the luma of three, the mean of any other number."""
    if images_BCHW.shape[1] != 3:
        return images_BCHW.mean(1, keepdim=True)
    red, green, blue = torch.split(images_BCHW, 1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _adjust_hue(images_BCHW: Tensor, turns_B111: Tensor) -> Tensor:
    """The same value and saturation at another hue of the hexagon of HSV."""
    red, green, blue = torch.split(images_BCHW, 1, dim=1)
    value = images_BCHW.amax(1, keepdim=True)
    chroma = value - images_BCHW.amin(1, keepdim=True)
    share = 1 / chroma.clamp_min(1e-6)  # grey has no hue, and any will do
    sixths = torch.where(
        value == red,
        (green - blue) * share,
        torch.where(value == green, 2 + (blue - red) * share, 4 + (red - green) * share),
    )
    sixths = sixths + 6 * turns_B111
    # How far each channel lies below the value: en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB
    # alternative", which needs no cases.
    offsets = torch.cat([(sixths + channel) % 6 for channel in (5, 3, 1)], dim=1)
    return value - chroma * torch.minimum(offsets, 4 - offsets).clamp(0, 1)


def box_masks(
    top_B: Tensor, left_B: Tensor, bottom_B: Tensor, right_B: Tensor, side: int
) -> Tensor:
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


def erase(
    images_BCHW: Tensor, boxes_B4: Tensor, seeds_B: Tensor, transform: InputTransform
) -> Tensor:
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


def mix_batch(
    images_BCHW: Tensor,
    labels_B: Tensor,
    draws_B: Mapping[str, Tensor],
    num_classes: int,
    strength: float | Tensor,
) -> tuple[Tensor, Tensor]:
    """Mixtures, and targets (B, K) that tell how much of an image is of which class.

    ``strength``: 1 mixes as drawn, 0 not at all. Where both kinds were drawn, each image takes one
    or the other.
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
    """Masks of what the next image covers: of the drawn area, but for what the border cuts off."""
    own_B, centres_B2 = draws_B["cutmix"][:, 0], draws_B["cutmix"][:, 1:]
    pasted_share_B = strength * (1 - own_B)
    if "mixing" in draws_B:
        pasted_share_B = pasted_share_B.where(draws_B["mixing"] >= 0.5, 0)
    return square_masks(centres_B2, (pasted_share_B.sqrt() * side).floor(), side)


def _next_image(rows_B: Tensor) -> Tensor:
    return rows_B.roll(-1, 0)
