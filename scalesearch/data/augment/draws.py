"""All chance of an epoch's augmentation, drawn before it on the CPU: one row for each image.

Every kind has a stream of its own, so that recipes which differ in one option see the same draws
in all others, and every row belongs to an image, so that neither the order of the images nor the
batch size changes what an image goes through.
"""

import numpy as np
import torch
from torch import Tensor

from scalesearch.recipe import Augmentation
from scalesearch.streams import stream


def drawn(augmentation: Augmentation, count: int, seed: int) -> dict[str, Tensor]:
    """Draws by kind, each (count, ...), of the kinds that are switched on."""
    kinds = {
        "crop": augmentation.crop > 0,
        "flip": augmentation.flip is not False,
    }
    shapes = {"crop": (count, 2), "flip": (count,)}
    return {
        kind: torch.from_numpy(
            np.random.default_rng(stream(seed, kind)).random(shapes[kind], dtype=np.float32)
        )
        for kind, switched_on in kinds.items()
        if switched_on
    }
