"""DenseNet with bottlenecks and halving transitions ("DenseNet-BC").

Width scales the growth, the stem and the transitions. A transition keeps its channels when dense
stages deepen: it then leaves less than half of its input.
"""

from collections.abc import Iterator

from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.stages import Architecture, Stage

GROWTH = 32


def _stages(repeats: tuple[int, ...]) -> Iterator[Stage]:
    channels = 2 * GROWTH
    for index, count in enumerate(repeats):
        if index:
            channels //= 2
            yield Stage(1, channels, 2, kernel=1, squeeze=0, block="transition", fixed_depth=True)
        yield Stage(count, GROWTH, expansion=4, squeeze=0, block="dense")
        channels += count * GROWTH


def _densenet(repeats: tuple[int, ...]) -> Architecture:
    return Architecture(
        stem=2 * GROWTH,
        stages=tuple(_stages(repeats)),
        head=0,
        resolution=224,
        stem_kernel=7,
        stem_pool=2,
        activation="relu",
    )


DENSENETS = tuple(
    Baseline(
        f"densenet{layers}",
        "DenseNet",
        "Huang et al. 2017, arXiv:1608.06993, table 1",
        _densenet(repeats),
    )
    for layers, repeats in (
        (121, (6, 12, 24, 16)),
        (169, (6, 12, 32, 32)),
    )
)
