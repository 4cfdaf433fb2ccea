"""Stored images to what a network is shown, in training and in evaluation."""

import torch
from torch import Tensor

from scalesearch.data.augment.colour import normalised
from scalesearch.data.augment.geometry import centred, cropped, resized
from scalesearch.data.augment.view import View


def prepared(
    images_BCHW: Tensor,
    labels_B: Tensor,
    drawn_B: dict[str, Tensor],
    view: View,
    resolution: int,
    strength: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """A batch to train on: normalised float32 (B, C, R, R) in channels_last order, and targets.

    ``images_BCHW``: uint8, as stored. ``labels_B``: int64. ``drawn_B``: these images' rows of
    ``drawn``, on the same device. ``strength``: the part of the mixing that acts. Targets are the
    labels themselves, or where images are mixed float32 (B, K) that sum to one.

    Nothing here draws, looks at a value or copies from the host, policies excepted.
    """
    images = cropped(images_BCHW, drawn_B, view, view.window(resolution))
    images = normalised(resized(images.float(), resolution), view)
    return images.contiguous(memory_format=torch.channels_last), labels_B


def shown(images_BCHW: Tensor, view: View, resolution: int) -> Tensor:
    """A batch to evaluate on, as in training but without anything random."""
    images = centred(images_BCHW, view.window(resolution)).float()
    images = normalised(resized(images, resolution), view)
    return images.contiguous(memory_format=torch.channels_last)
