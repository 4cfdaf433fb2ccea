"""What becomes of the pixels' values, which are levels from 0 to 255."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scalesearch.data.augment.view import InputTransform

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
    images_BCHW.mul_(inverse).sub_(channel_levels(transform.mean, images_BCHW) * inverse)  # divides no pixel


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
