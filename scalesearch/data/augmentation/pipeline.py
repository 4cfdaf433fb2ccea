"""Augmentation of a batch for training and evaluation; policies use kornia."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from scalesearch.config.recipe import AugmentationPolicy
from scalesearch.data.augmentation.geometry import (
    InputTransform,
    apply_geometry,
    center_crop,
    resize_batch,
)
from scalesearch.data.augmentation.pixels import cutout, erase, jitter_colours, mix_batch, normalise
from scalesearch.errors import DataError

CHUNK_IMAGES = 8
"""Images that share one choice of operations: kornia draws one choice for each call.

Fewer would cost more: a call takes at least a millisecond, however few its images.
"""


def require_policy(policy: AugmentationPolicy) -> None:
    """Raise DataError if a policy needs kornia and kornia is missing."""
    _load_policy(policy)


def apply_policy(images_BCHW: Tensor, seeds_B: Tensor, policy: AugmentationPolicy) -> Tensor:
    """Apply a policy to uint8 images, in chunks of ``CHUNK_IMAGES``.

    The operations are kornia's: brightness is added, while Pillow multiplies by it, and a rotation
    uncovers black. RandAugment's enhancements all go one way, as in its authors' code, up to 0.3
    of their range (m = 9 of 30). Grey images are treated as colour images and come back grey. The
    caller's random state stays unchanged. Autocast is off, because kornia computes positions by
    matrix products. Raises DataError if kornia is missing.
    """
    policy_module = _load_policy(policy)
    channels = images_BCHW.shape[1]
    colours = images_BCHW.expand(-1, 3, -1, -1) if channels == 1 else images_BCHW
    devices = [images_BCHW.device] if images_BCHW.is_cuda else []
    chunks = []
    exact = torch.autocast(images_BCHW.device.type, enabled=False)
    with torch.random.fork_rng(devices), torch.no_grad(), exact:
        for chunk, seed in zip(
            torch.split(colours, CHUNK_IMAGES), seeds_B[::CHUNK_IMAGES].tolist(), strict=True
        ):
            torch.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            chunks.append(policy_module(chunk / 255))
    levels = (torch.cat(chunks) * 255).round().clamp(0, 255).to(torch.uint8)
    return levels[:, :channels]


@cache
def _load_policy(policy: AugmentationPolicy) -> nn.Module:
    """Load a policy with its published settings."""
    try:
        from kornia.augmentation.auto import AutoAugment, RandAugment, TrivialAugment
    except ImportError as error:
        raise DataError(
            f"augmentation.policy {policy}: needs kornia, which is not installed; "
            "pip install 'scalesearch[augment]', or use policy: none"
        ) from error
    match policy:
        case "autoaugment":
            return AutoAugment("imagenet")  # arXiv:1805.09501
        case "randaugment":
            return RandAugment(n=2, m=9)  # arXiv:1909.13719
        case "trivialaugment":
            return TrivialAugment()  # arXiv:2103.10158
        case "none":
            return nn.Identity()


def training_inputs(
    images_BCHW: Tensor,
    labels_B: Tensor,
    draws_B: Mapping[str, Tensor],
    transform: InputTransform,
    resolution: int,
    strength: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of a training batch.

    ``images_BCHW``: uint8, as stored. ``labels_B``: int64. ``draws_B``: rows of ``epoch_draws``
    for these images, on the same device. ``strength``: strength of the mixing, 0 to 1. Returns
    normalised float32 (B, C, R, R) in channels_last order, and the labels as targets, or with
    mixing float32 (B, K) rows that sum to one. Except for policies, nothing here draws, reads a
    value or copies from the host.
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
    """Return inputs of an evaluation batch: as in training, without randomness."""
    window = center_crop(images_BCHW, transform.window(resolution)).float()
    images = resize_batch(window, resolution)
    normalise(images, transform)
    return images.contiguous(memory_format=torch.channels_last)
