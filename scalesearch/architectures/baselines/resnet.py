"""ResNet in its five published depths; width scales the stem too.

The stride of a bottleneck is in its 3x3 convolution ("v1.5"), as in torchvision and in most figures
printed for ResNet-50 (4.1 billion multiply-adds); the original has it in the first 1x1.
"""

from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.stages import Architecture, Stage


def _resnet(block: str, expansion: int, repeats: tuple[int, ...]) -> Architecture:
    """Four stages of 64, 128, 256, 512 channels, times four after bottlenecks; no head."""
    return Architecture(
        stem=64,
        stages=tuple(
            Stage(
                repeats=count,
                width=64 * 2**index * expansion,
                stride=2 if index else 1,
                expansion=expansion,
                squeeze=0,
                block=block,
            )
            for index, count in enumerate(repeats)
        ),
        head=0,
        resolution=224,
        stem_kernel=7,
        stem_pool=2,
        activation="relu",
    )


RESNETS = tuple(
    Baseline(
        f"resnet{layers}",
        "ResNet",
        "He et al. 2015, arXiv:1512.03385, table 1",
        _resnet(block, expansion, repeats),
    )
    for layers, block, expansion, repeats in (
        (18, "basic", 1, (2, 2, 2, 2)),
        (34, "basic", 1, (3, 4, 6, 3)),
        (50, "bottleneck", 4, (3, 4, 6, 3)),
        (101, "bottleneck", 4, (3, 4, 23, 3)),
        (152, "bottleneck", 4, (3, 8, 36, 3)),
    )
)
