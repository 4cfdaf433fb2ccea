"""A network built from its description."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.nets.blocks import ACTIVATIONS, BLOCKS, Layers


class Network(nn.Module):
    """Stem, stages, head, global average pool, dropout and a linear classifier."""

    def __init__(
        self, architecture: Architecture, layers: Layers, *, dropout: float, drop_connect: float
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.stem = layers.activated_conv(
            architecture.in_channels,
            architecture.stem,
            architecture.stem_kernel,
            stride=architecture.stem_stride,
        )
        self.stages = nn.Sequential(*_stages(architecture, layers, drop_connect))
        self.head = layers.activated_conv(architecture.stages[-1].width, architecture.head)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(architecture.head, architecture.num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features_BCHW = self.head(self.stages(self.stem(images_BCHW)))
        logits_BK: Tensor = self.classifier(self.dropout(features_BCHW.mean((2, 3))))
        return logits_BK


def build(
    architecture: Architecture,
    *,
    dropout: float = 0.0,
    drop_connect: float = 0.0,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
) -> Network:
    """The network that an architecture describes, with PyTorch's default weights.

    ``drop_connect``: block i of N (from 0) drops its branch at the rate drop_connect * i / N.
    ``norm_momentum``: the weight of a new batch in the running statistics; TensorFlow's "0.99"
    is 0.01 here. See ``initialise`` for EfficientNet's own weights. Takes any input resolution;
    built under ``torch.device("meta")`` it costs no memory and draws no random numbers.
    """
    layers = Layers(
        norm=partial(nn.BatchNorm2d, eps=norm_eps, momentum=norm_momentum),
        activation=ACTIVATIONS[architecture.activation],
    )
    return Network(architecture, layers, dropout=dropout, drop_connect=drop_connect)


def _stages(
    architecture: Architecture, layers: Layers, drop_connect: float
) -> Iterator[nn.Sequential]:
    index = 0
    for inputs, stage in architecture.transitions():
        blocks = []
        for block_inputs, block in _blocks(inputs, stage):
            drop_rate = drop_connect * index / architecture.blocks
            blocks.append(BLOCKS[stage.block](block_inputs, block, layers, drop_rate))
            index += 1
        yield nn.Sequential(*blocks)


def _blocks(inputs: int, stage: Stage) -> Iterator[tuple[int, Stage]]:
    """Each block's input channels and what it is: only the first one strides."""
    yield inputs, stage
    for _ in range(stage.repeats - 1):
        yield stage.width, replace(stage, stride=1)
