"""Images, and their labels, mixed with those of the batch's next image."""

from collections.abc import Mapping

import torch
from torch import Tensor

from scalesearch.data.augment.covering import square_masks


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
