"""Images, and their labels, mixed with those of the batch's next image."""

from collections.abc import Mapping

import torch
from torch import Tensor

from scalesearch.data.augment.covering import squares


def mixed(
    images_BCHW: Tensor,
    labels_B: Tensor,
    drawn_B: Mapping[str, Tensor],
    num_classes: int,
    strength: float | Tensor,
) -> tuple[Tensor, Tensor]:
    """Mixtures, and targets (B, K) that tell how much of an image is of which class.

    ``strength``: 1 mixes as drawn, 0 not at all. Where both kinds were drawn, each image takes one
    or the other.
    """
    images, own_B = images_BCHW, images_BCHW.new_ones(len(images_BCHW))
    if "mixup" in drawn_B:
        own_B = 1 - strength * (1 - drawn_B["mixup"])
        if "mixing" in drawn_B:
            own_B = own_B.where(drawn_B["mixing"] < 0.5, 1)
        images = _next(images_BCHW).lerp(images_BCHW, own_B[:, None, None, None])
    if "cutmix" in drawn_B:
        theirs_B11 = _pasted(drawn_B, strength, images.shape[-1])
        images = torch.where(theirs_B11, _next(images_BCHW), images)
        own_B = own_B * (1 - theirs_B11.float().mean((1, 2, 3)))
    classes = torch.arange(num_classes, device=labels_B.device)
    targets_BK = (labels_B[:, None] == classes).to(own_B.dtype)
    return images, _next(targets_BK).lerp(targets_BK, own_B[:, None])


def _pasted(drawn_B: Mapping[str, Tensor], strength: float | Tensor, side: int) -> Tensor:
    """Masks of what the next image covers: of the drawn area, but for what the border cuts off."""
    own_B, centres_B2 = drawn_B["cutmix"][:, 0], drawn_B["cutmix"][:, 1:]
    theirs_B = strength * (1 - own_B)
    if "mixing" in drawn_B:
        theirs_B = theirs_B.where(drawn_B["mixing"] >= 0.5, 0)
    return squares(centres_B2, (theirs_B.sqrt() * side).floor(), side)


def _next(rows_B: Tensor) -> Tensor:
    return rows_B.roll(-1, 0)
