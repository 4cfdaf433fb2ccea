"""EfficientNet, EfficientNet-Lite and EfficientNetV2."""

from dataclasses import replace
from functools import partial

from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.stages import Architecture, Stage

mbconv = partial(Stage, expansion=6)
mbconv_4 = partial(Stage, expansion=4)
fused = partial(Stage, block="fused_mbconv", squeeze=0)

_B0 = Architecture(
    stem=32,
    stages=(
        Stage(repeats=1, width=16, kernel=3, stride=1),
        mbconv(repeats=2, width=24, kernel=3, stride=2),
        mbconv(repeats=2, width=40, kernel=5, stride=2),
        mbconv(repeats=3, width=80, kernel=3, stride=2),
        mbconv(repeats=3, width=112, kernel=5, stride=1),
        mbconv(repeats=4, width=192, kernel=5, stride=2),
        mbconv(repeats=1, width=320, kernel=3, stride=1),
    ),
    head=1280,
    resolution=224,
)

_V2_B0 = Architecture(
    stem=32,
    stages=(
        fused(repeats=1, width=16, stride=1),
        fused(repeats=2, width=32, stride=2, expansion=4),
        fused(repeats=2, width=48, stride=2, expansion=4),
        mbconv_4(repeats=3, width=96, stride=2),
        mbconv(repeats=5, width=112, stride=1),
        mbconv(repeats=8, width=192, stride=2),
    ),
    head=1280,
    resolution=224,
)

_V2_S = Architecture(
    stem=24,
    stages=(
        fused(repeats=2, width=24, stride=1),
        fused(repeats=4, width=48, stride=2, expansion=4),
        fused(repeats=4, width=64, stride=2, expansion=4),
        mbconv_4(repeats=6, width=128, stride=2),
        mbconv(repeats=9, width=160, stride=1),
        mbconv(repeats=15, width=256, stride=2),
    ),
    head=1280,
    resolution=384,
)


def _lite(network: Architecture) -> Architecture:
    """Without squeeze-and-excitation, with ReLU6.

    Stem, head and the depth of the first and the last stage do not scale.
    """
    last = len(network.stages) - 1
    return replace(
        network,
        stages=tuple(
            replace(stage, squeeze=0, fixed_depth=index in (0, last))
            for index, stage in enumerate(network.stages)
        ),
        activation="relu6",
        fixed_stem=True,
        fixed_head=True,
    )


efficientnet_b0 = Baseline(
    "efficientnet_b0", "EfficientNet", "Tan & Le 2019, arXiv:1905.11946, table 1", _B0
)

EFFICIENTNETS = (
    efficientnet_b0,
    Baseline(
        "efficientnet_lite0",
        "EfficientNet-Lite",
        "Liu 2020, github.com/tensorflow/tpu, models/official/efficientnet/lite",
        _lite(_B0),
    ),
    Baseline(
        "efficientnetv2_b0",
        "EfficientNetV2",
        "Tan & Le 2021, arXiv:2104.00298; github.com/google/automl, effnetv2_configs.py",
        _V2_B0,
    ),
    Baseline(
        "efficientnetv2_s", "EfficientNetV2", "Tan & Le 2021, arXiv:2104.00298, table 4", _V2_S
    ),
)
