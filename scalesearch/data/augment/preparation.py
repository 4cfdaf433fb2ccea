"""Stored images to what a network is shown, in training and in evaluation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from scalesearch.data.augment.colour import jitter_colours, normalise
from scalesearch.data.augment.covering import cutout, erase
from scalesearch.data.augment.geometry import center_crop, apply_geometry, resize_batch
from scalesearch.data.augment.mixing import mix_batch
from scalesearch.data.augment.policies import apply_policy
from scalesearch.data.augment.view import InputTransform


def training_inputs(
    images_BCHW: Tensor,
    labels_B: Tensor,
    draws_B: Mapping[str, Tensor],
    transform: InputTransform,
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
    if "policy" in draws_B:
        images = apply_policy(images, draws_B["policy"], transform.augmentation.policy)
    images = apply_geometry(images, draws_B, transform, resolution)
    if "jitter" in draws_B:
        images = jitter_colours(images, draws_B["jitter"], transform)
    normalise(images, transform)
    if "cutout" in draws_B:
        images = cutout(images, draws_B["cutout"], transform)
    if "erasing" in draws_B:
        images = erase(images, draws_B["erasing"], draws_B["noise"], transform)
    if "mixup" in draws_B or "cutmix" in draws_B:
        images, targets = mix_batch(images, labels_B, draws_B, transform.num_classes, strength)
    return images.contiguous(memory_format=torch.channels_last), targets


def evaluation_inputs(images_BCHW: Tensor, transform: InputTransform, resolution: int) -> Tensor:
    """A batch to evaluate on, as in training but without anything random."""
    window = center_crop(images_BCHW, transform.window(resolution)).float()
    images = resize_batch(window, resolution)
    normalise(images, transform)
    return images.contiguous(memory_format=torch.channels_last)
