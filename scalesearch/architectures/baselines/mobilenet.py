"""MobileNet, versions 1 to 3.

Their authors scale width and resolution only. Depth is scaled here in all stages, as EfficientNet's
paper does for MobileNets (arXiv:1905.11946, table 3). The stem scales with the width. The last 1280
channels of versions 2 and 3 grow with the width and do not shrink (arXiv:1801.04381, section 5;
``keras.applications`` does the same).
"""

from functools import partial

from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.stages import Architecture, Stage

separable = partial(Stage, block="separable", squeeze=0)
inverted = partial(Stage, expansion=6, squeeze=0)
bneck = partial(Stage, block="bneck", squeeze=0)

_V1 = Architecture(
    stem=32,
    stages=(
        separable(repeats=1, width=64, stride=1),
        separable(repeats=2, width=128, stride=2),
        separable(repeats=2, width=256, stride=2),
        separable(repeats=6, width=512, stride=2),
        separable(repeats=2, width=1024, stride=2),
    ),
    head=0,
    resolution=224,
    activation="relu",
)

_V2 = Architecture(
    stem=32,
    stages=(
        Stage(repeats=1, width=16, stride=1, squeeze=0),
        inverted(repeats=2, width=24, stride=2),
        inverted(repeats=3, width=32, stride=2),
        inverted(repeats=4, width=64, stride=2),
        inverted(repeats=3, width=96, stride=1),
        inverted(repeats=3, width=160, stride=2),
        inverted(repeats=1, width=320, stride=1),
    ),
    head=1280,
    resolution=224,
    activation="relu6",
    least_head=1280,
)

# Blocks of different expansion are separate stages. The last stage, a plain convolution, replaces
# the head of other networks; a linear head follows after the pooling.
_V3_LARGE = Architecture(
    stem=16,
    stages=(
        bneck(repeats=1, width=16, stride=1, activation="relu"),
        bneck(repeats=1, width=24, stride=2, expansion=4, activation="relu"),
        bneck(repeats=1, width=24, stride=1, expansion=3, activation="relu"),
        bneck(repeats=3, width=40, stride=2, kernel=5, expansion=3, squeeze=4, activation="relu"),
        bneck(repeats=1, width=80, stride=2, expansion=6),
        bneck(repeats=1, width=80, stride=1, expansion=2.5),
        bneck(repeats=2, width=80, stride=1, expansion=2.3),
        bneck(repeats=2, width=112, stride=1, expansion=6, squeeze=4),
        bneck(repeats=3, width=160, stride=2, kernel=5, expansion=6, squeeze=4),
        Stage(repeats=1, width=960, kernel=1, squeeze=0, block="conv", fixed_depth=True),
    ),
    head=1280,
    resolution=224,
    activation="hard_swish",
    head_pooled=True,
    least_head=1280,
)

MOBILENETS = (
    Baseline("mobilenet_v1", "MobileNet", "Howard et al. 2017, arXiv:1704.04861, table 1", _V1),
    Baseline("mobilenet_v2", "MobileNetV2", "Sandler et al. 2018, arXiv:1801.04381, table 2", _V2),
    Baseline(
        "mobilenet_v3_large",
        "MobileNetV3",
        "Howard et al. 2019, arXiv:1905.02244, table 1",
        _V3_LARGE,
    ),
)
