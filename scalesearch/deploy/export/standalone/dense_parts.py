"""DenseNet's parts of standalone network files (see ``parts``)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from scalesearch.deploy.export.standalone.parts import (
    ACTIVATION,
    NORM_EPS,
    NORM_MOMENTUM,
    Activation,
    Convolution,
    conv,
)


def norm(channels: int, activation: Activation = ACTIVATION) -> nn.Sequential:
    """Batch norm and activation, before a convolution."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM),
            activation=activation(),
        )
    )


class Dense(nn.Module):
    """``outputs`` new channels after the existing ones (arXiv:1608.06993)."""

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        kernel: int = 3,
        activation: Activation = ACTIVATION,
    ) -> None:
        super().__init__()
        self.before = norm(inputs, activation)
        self.reduce = conv(inputs, inner, activation=activation)
        self.grow = Convolution(inner, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.grow(self.reduce(self.before(x)))), dim=1)


class Transition(nn.Module):
    """Norm, activation, a convolution, and an average over the stride."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        activation: Activation = ACTIVATION,
    ) -> None:
        super().__init__()
        self.before = norm(inputs, activation)
        self.conv = Convolution(inputs, outputs, kernel)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(self.conv(self.before(x)))
        return y
