"""What becomes of the pixels' values."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scalesearch.data.augment.view import View


def normalised(images_BCHW: Tensor, view: View) -> Tensor:
    """Images of levels 0 to 255 with the view's mean brought to 0 and its deviation to 1."""
    return images_BCHW.sub(channels(view.mean, images_BCHW)).div_(channels(view.std, images_BCHW))


def channels(values: Sequence[float], images_BCHW: Tensor) -> Tensor:
    """Fractions of full brightness as levels, (C, 1, 1), beside the images.

    Filled on the device: a copy from the host would wait for it, and fit in no CUDA graph.
    """
    return torch.cat([images_BCHW.new_full((1, 1, 1), 255 * value) for value in values])
