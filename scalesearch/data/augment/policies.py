"""AutoAugment, RandAugment and TrivialAugment, through kornia."""

from functools import cache

import torch
from torch import Tensor, nn

from scalesearch.errors import DataError
from scalesearch.recipe import AugmentationPolicy

CHUNK_IMAGES = 8
"""Images that go through one choice of operations: kornia draws one for whatever it is given.

Fewer would cost more: a call takes a millisecond and more, however few its images."""


def require_policy(policy: AugmentationPolicy) -> None:
    """Raise DataError where a policy needs kornia, and that is missing."""
    _load_policy(policy)


def apply_policy(images_BCHW: Tensor, seeds_B: Tensor, policy: AugmentationPolicy) -> Tensor:
    """uint8 images after a policy; each ``CHUNK`` of them draws its own from its first seed.

    The operations are kornia's: brightness is added where Pillow multiplies by it, and what a
    rotation uncovers is black. RandAugment's enhancements all go one way, as in its authors' code,
    to 0.3 of their range (m = 9 of 30). Grey images go through as colours do and come back grey.
    The caller's random state is left alone. Autocast has no part in it, since kornia finds by
    products of matrices where a pixel comes from. Raises DataError where kornia is missing.
    """
    policy_module = _load_policy(policy)
    channels = images_BCHW.shape[1]
    colours = images_BCHW.expand(-1, 3, -1, -1) if channels == 1 else images_BCHW
    devices = [images_BCHW.device] if images_BCHW.is_cuda else []
    chunks = []
    exact = torch.autocast(images_BCHW.device.type, enabled=False)
    with torch.random.fork_rng(devices), torch.no_grad(), exact:
        for chunk, seed in zip(torch.split(colours, CHUNK_IMAGES), seeds_B[::CHUNK_IMAGES].tolist(), strict=True):
            torch.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            chunks.append(policy_module(chunk / 255))
    levels = (torch.cat(chunks) * 255).round().clamp(0, 255).to(torch.uint8)
    return levels[:, :channels]


@cache
def _load_policy(policy: AugmentationPolicy) -> nn.Module:
    """The policies' published settings."""
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
