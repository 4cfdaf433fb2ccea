"""A network built from its description."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import overload

from torch import Tensor, nn

from scalesearch.architectures.foreign import Foreign
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.nets.blocks import BLOCKS
from scalesearch.nets.foreign import made
from scalesearch.nets.layers import ACTIVATIONS, DropConnect, Layers


class Network(nn.Module):
    """Stem, stages, head, global average pool, dropout and a linear classifier.

    The head stands before the pool, or behind it where it is a linear layer, or nowhere.
    """

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
        self.stem_pool = (
            nn.MaxPool2d(3, architecture.stem_pool, padding=1)
            if architecture.stem_pool > 1
            else nn.Identity()
        )
        self.stages = nn.Sequential(*_stages(architecture, layers, drop_connect))
        self.head = _head(architecture, layers)
        self.dropout = nn.Dropout(dropout)
        self.dropout_rate = dropout
        self.classifier = nn.Linear(architecture.features, architecture.num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features_BCHW = self.stages(self.stem_pool(self.stem(images_BCHW)))
        if self.architecture.head_pooled:
            features_BC = self.head(features_BCHW.mean((2, 3)))
        else:
            features_BC = self.head(features_BCHW).mean((2, 3))
        logits_BK: Tensor = self.classifier(self.dropout(features_BC))
        return logits_BK

    def regularise(self, strength: float) -> None:
        """Let this part of dropout and drop-connect act from now on."""
        self.dropout.p = self.dropout_rate * strength
        for module in self.modules():
            if isinstance(module, DropConnect):
                module.strength = strength

    @property
    def draws(self) -> bool:
        """Whether a training pass draws random numbers."""
        return self.dropout.p > 0 or any(
            isinstance(module, DropConnect) and module.rate * module.strength > 0
            for module in self.modules()
        )


@overload
def build(
    architecture: Architecture,
    *,
    dropout: float = ...,
    drop_connect: float = ...,
    norm_eps: float = ...,
    norm_momentum: float = ...,
) -> Network: ...
@overload
def build(architecture: Foreign) -> nn.Module: ...
def build(
    architecture: Architecture | Foreign,
    *,
    dropout: float = 0.0,
    drop_connect: float = 0.0,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
) -> nn.Module:
    """The network that an architecture describes, with PyTorch's default weights.

    ``drop_connect``: block i of N (from 0) drops its branch at the rate drop_connect * i / N.
    ``norm_momentum``: the weight of a new batch in the running statistics; TensorFlow's "0.99"
    is 0.01 here. See ``initialise`` for EfficientNet's own weights. Takes any input resolution;
    built under ``torch.device("meta")`` it costs no memory and draws no random numbers.
    A foreign network is as its code makes it, where that may be run, and takes no options.
    """
    if isinstance(architecture, Foreign):
        return made(architecture)
    layers = Layers(
        norm=partial(nn.BatchNorm2d, eps=norm_eps, momentum=norm_momentum),
        activation=ACTIVATIONS[architecture.activation],
    )
    return Network(architecture, layers, dropout=dropout, drop_connect=drop_connect)


def _head(architecture: Architecture, layers: Layers) -> nn.Module:
    last, head = architecture.stages[-1].width, architecture.head
    if not head:
        return nn.Identity()
    if architecture.head_pooled:
        linear, activation = nn.Linear(last, head), layers.activation()
        return nn.Sequential(OrderedDict(linear=linear, activation=activation))
    return layers.activated_conv(last, head)


def _stages(
    architecture: Architecture, layers: Layers, drop_connect: float
) -> Iterator[nn.Sequential]:
    index = 0
    for inputs, stage in architecture.transitions():
        blocks = []
        own = replace(layers, activation=ACTIVATIONS[stage.activation or architecture.activation])
        for block_inputs, block in _blocks(inputs, stage):
            drop_rate = drop_connect * index / architecture.blocks
            blocks.append(BLOCKS[stage.block](block_inputs, block, own, drop_rate))
            index += 1
        yield nn.Sequential(*blocks)


def _blocks(inputs: int, stage: Stage) -> Iterator[tuple[int, Stage]]:
    """Each block's input channels and what it is: only the first one strides."""
    yield inputs, stage
    for _ in range(stage.repeats - 1):
        yield stage.width, replace(stage, stride=1)
