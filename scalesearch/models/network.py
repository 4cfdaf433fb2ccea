"""Networks built from their architecture."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import overload

from torch import Tensor, nn

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import PREACTIVATION_BLOCKS, Architecture, Stage
from scalesearch.models.blocks import BLOCKS
from scalesearch.models.custom_model import build_custom_model
from scalesearch.models.layers import ACTIVATIONS, DropConnect, LayerFactory, PaddingMode


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Settings of a network beside its architecture; see ``build_model``."""

    dropout: float = 0.0
    drop_connect: float = 0.0
    norm_eps: float = 1e-3
    norm_momentum: float = 0.01
    padding: PaddingMode = "half"

    def __post_init__(self) -> None:
        for name in ("dropout", "drop_connect"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"need 0 <= {name} < 1, got {name}={getattr(self, name)}")
        if not self.norm_eps > 0:
            raise ValueError(f"need norm_eps > 0, got norm_eps={self.norm_eps}")
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(f"need 0 < norm_momentum <= 1, got {self.norm_momentum}")
        if self.padding not in ("half", "same"):
            raise ValueError(f"need padding half or same, got padding={self.padding!r}")


class Network(nn.Module):
    """Stem, stages, head, global average pool, dropout and a linear classifier.

    The head comes before the pool, or after it if it is a linear layer, or there is none. If the
    last stage's blocks activate their inputs, a last norm comes before the head.
    """

    def __init__(self, architecture: Architecture, options: NetworkOptions) -> None:
        super().__init__()
        self.architecture = architecture
        self.options = options
        layers = LayerFactory(
            norm=partial(nn.BatchNorm2d, eps=options.norm_eps, momentum=options.norm_momentum),
            activation=ACTIVATIONS[architecture.activation],
            padding=options.padding,
        )
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
        self.stages = nn.Sequential(*_build_stages(architecture, layers, options.drop_connect))
        self.final = (
            layers.activated_norm(architecture.last_channels)
            if architecture.stages[-1].block in PREACTIVATION_BLOCKS
            else nn.Identity()
        )
        self.head = _build_head(architecture, layers)
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(architecture.num_features, architecture.num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features_BCHW = self.final(self.stages(self.stem_pool(self.stem(images_BCHW))))
        if self.architecture.head_pooled:
            features_BC = self.head(features_BCHW.mean((2, 3)))
        else:
            features_BC = self.head(features_BCHW).mean((2, 3))
        logits_BK: Tensor = self.classifier(self.dropout(features_BC))
        return logits_BK

    def set_regularisation_strength(self, strength: float) -> None:
        """Set the part of dropout and drop-connect that applies from now on."""
        self.dropout.p = self.options.dropout * strength
        for module in self.modules():
            if isinstance(module, DropConnect):
                module.strength = strength

    @property
    def is_stochastic(self) -> bool:
        """True if a training pass draws random numbers."""
        return self.dropout.p > 0 or any(
            isinstance(module, DropConnect) and module.rate * module.strength > 0
            for module in self.modules()
        )


@overload
def build_model(
    architecture: Architecture,
    *,
    dropout: float = ...,
    drop_connect: float = ...,
    norm_eps: float = ...,
    norm_momentum: float = ...,
    padding: PaddingMode = ...,
) -> Network: ...
@overload
def build_model(architecture: CustomModel) -> nn.Module: ...
def build_model(
    architecture: Architecture | CustomModel,
    *,
    dropout: float = 0.0,
    drop_connect: float = 0.0,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.01,
    padding: PaddingMode = "half",
) -> nn.Module:
    """Build the network of an architecture, with PyTorch's default weights.

    ``drop_connect``: block i of N (from 0) drops its branch at the rate drop_connect * i / N.
    ``norm_momentum``: weight of a new batch in the running statistics; TensorFlow's "0.99" is 0.01
    here. ``padding``: see ``layers.PaddingMode``; sizes and cost are equal for both. See
    ``initialise`` for EfficientNet's own weights. The network takes any input resolution; built
    under ``torch.device("meta")`` it needs no memory and draws no random numbers. A custom model
    is built by its own code, if that may run, and takes no options.
    """
    if isinstance(architecture, CustomModel):
        return build_custom_model(architecture)
    options = NetworkOptions(
        dropout=dropout,
        drop_connect=drop_connect,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
        padding=padding,
    )
    return Network(architecture, options)


def _build_head(architecture: Architecture, layers: LayerFactory) -> nn.Module:
    last, head = architecture.last_channels, architecture.head
    if not head:
        return nn.Identity()
    if architecture.head_pooled:
        linear, activation = nn.Linear(last, head), layers.activation()
        return nn.Sequential(OrderedDict(linear=linear, activation=activation))
    return layers.activated_conv(last, head)


def _build_stages(
    architecture: Architecture, layers: LayerFactory, drop_connect: float
) -> Iterator[nn.Sequential]:
    index = 0
    for inputs, stage in architecture.transitions():
        blocks = []
        stage_layers = replace(
            layers, activation=ACTIVATIONS[stage.activation or architecture.activation]
        )
        for block_inputs, block in _block_specs(inputs, stage):
            drop_rate = drop_connect * index / architecture.num_blocks
            blocks.append(BLOCKS[stage.block](block_inputs, block, stage_layers, drop_rate))
            index += 1
        yield nn.Sequential(*blocks)


def _block_specs(inputs: int, stage: Stage) -> Iterator[tuple[int, Stage]]:
    """Input channels and stage of each block; only the first one strides."""
    for index in range(stage.repeats):
        yield inputs, replace(stage, stride=1) if index else stage
        inputs = stage.channels(inputs)
