"""The parts that networks are made of, and the table of blocks that stages name."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from scalesearch.architectures.stages import Stage

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
}


@dataclass(frozen=True, slots=True)
class Layers:
    """What all blocks of one network share: its normalisation and its activation."""

    norm: Callable[[int], nn.Module]
    activation: Callable[[], nn.Module]

    def conv(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        """Convolution and normalisation; padded by half the kernel, so strides round sizes up."""
        conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        return nn.Sequential(OrderedDict(conv=conv, norm=self.norm(outputs)))

    def activated_conv(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        """The same, followed by the activation."""
        layers = self.conv(inputs, outputs, kernel, stride=stride, groups=groups)
        layers.add_module("activation", self.activation())
        return layers


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate computed from their means (arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        means_BC11 = x_BCHW.mean((2, 3), keepdim=True)
        gates_BC11: Tensor = self.expand(self.activation(self.reduce(means_BC11))).sigmoid()
        return x_BCHW * gates_BC11


class DropConnect(nn.Module):
    """Stochastic depth (arXiv:1603.09382): in training, each sample loses the branch at ``rate``.

    What is kept is divided by 1 - rate, so that the expectation stays and evaluation does nothing.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"need 0 <= rate < 1, got rate={rate}")
        self.rate = rate

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x_BCHW
        keep = 1 - self.rate
        return x_BCHW * x_BCHW.new_empty(len(x_BCHW), 1, 1, 1).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class MBConv(nn.Module):
    """Mobile inverted bottleneck (arXiv:1801.04381) with squeeze-and-excitation.

    Expand 1x1, depthwise, squeeze-and-excitation, project 1x1 without activation; no expansion
    where its factor is 1. The input is added where stride and channels allow; ``drop_rate``
    applies to such blocks only.
    """

    def __init__(self, inputs: int, stage: Stage, layers: Layers, drop_rate: float) -> None:
        super().__init__()
        inner, width, squeeze = inputs * stage.expansion, stage.width, stage.squeeze
        self.residual = stage.stride == 1 and inputs == width
        self.expand = layers.activated_conv(inputs, inner) if stage.expansion > 1 else nn.Identity()
        self.depthwise = layers.activated_conv(
            inner, inner, stage.kernel, stride=stage.stride, groups=inner
        )
        self.squeeze = (
            SqueezeExcitation(inner, max(1, inputs // squeeze), layers.activation())
            if squeeze
            else nn.Identity()
        )
        self.project = layers.conv(inner, width)
        self.drop_connect = DropConnect(drop_rate) if self.residual else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x_BCHW))))
        if self.residual:
            y_BCHW = x_BCHW + self.drop_connect(y_BCHW)
        return y_BCHW


BLOCKS: dict[str, Callable[[int, Stage, Layers, float], nn.Module]] = {
    "mbconv": MBConv,
}
"""Blocks by the name that ``Stage.block`` gives: (input channels, stage, layers, drop rate)."""
