"""Stored images to what a network is shown, in training and in evaluation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from scalesearch.data.augment.colour import jittered, normalise
from scalesearch.data.augment.covering import cut_out, erased
from scalesearch.data.augment.geometry import centred, placed, resized
from scalesearch.data.augment.mixing import mixed
from scalesearch.data.augment.policies import by_policy
from scalesearch.data.augment.view import View


def prepared(
    images_BCHW: Tensor,
    labels_B: Tensor,
    drawn_B: Mapping[str, Tensor],
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
    images, targets = images_BCHW, labels_B
    if "policy" in drawn_B:
        images = by_policy(images, drawn_B["policy"], view.augmentation.policy)
    images = placed(images, drawn_B, view, resolution)
    if "jitter" in drawn_B:
        images = jittered(images, drawn_B["jitter"], view)
    normalise(images, view)
    if "cutout" in drawn_B:
        images = cut_out(images, drawn_B["cutout"], view)
    if "erasing" in drawn_B:
        images = erased(images, drawn_B["erasing"], drawn_B["noise"], view)
    if "mixup" in drawn_B or "cutmix" in drawn_B:
        images, targets = mixed(images, labels_B, drawn_B, view.num_classes, strength)
    return images.contiguous(memory_format=torch.channels_last), targets


def shown(images_BCHW: Tensor, view: View, resolution: int) -> Tensor:
    """A batch to evaluate on, as in training but without anything random."""
    window = centred(images_BCHW, view.window(resolution)).float()
    images = resized(window, resolution)
    normalise(images, view)
    return images.contiguous(memory_format=torch.channels_last)
