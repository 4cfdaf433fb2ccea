"""Blocks that stages name, and the table of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalesearch.architectures.cost import expanded_channels, round_to_eights
from scalesearch.architectures.stages import Stage
from scalesearch.models.layers import DropConnect, LayerFactory, SqueezeExcitation


class ResidualBlock(nn.Module):
    """Base of blocks whose input is added to a branch of the same shape.

    ``drop_rate`` applies only if something is added.
    """

    def __init__(self, inputs: int, stage: Stage, drop_rate: float) -> None:
        super().__init__()
        self.residual = stage.stride == 1 and inputs == stage.width
        self.drop_connect = DropConnect(drop_rate) if self.residual else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.branch(x_BCHW)
        if self.residual:
            y_BCHW = x_BCHW + self.drop_connect(y_BCHW)
        return y_BCHW

    def branch(self, x_BCHW: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def last_norm(self) -> nn.Module | None:
        """Last norm of the branch, which scales what is added; None if nothing is added."""
        return self.last_conv().get_submodule("norm") if self.residual else None

    def last_conv(self) -> nn.Module:
        """Last convolution of the branch with its norm."""
        raise NotImplementedError


class MBConv(ResidualBlock):
    """Mobile inverted bottleneck (arXiv:1801.04381) with squeeze-and-excitation.

    Expand 1x1, depthwise, squeeze-and-excitation, project 1x1 without activation; no expansion if
    its factor is 1.
    """

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__(inputs, stage, drop_rate)
        inner = self.inner_channels(inputs, stage)
        self.expand = layers.activated_conv(inputs, inner) if stage.expansion > 1 else nn.Identity()
        self.depthwise = layers.activated_conv(
            inner, inner, stage.kernel, stride=stage.stride, groups=inner
        )
        self.squeeze = (
            self.squeeze_excitation(inputs, inner, stage, layers)
            if stage.squeeze
            else nn.Identity()
        )
        self.project = layers.conv(inner, stage.width)

    @staticmethod
    def inner_channels(inputs: int, stage: Stage) -> int:
        return inputs * int(stage.expansion)

    @staticmethod
    def squeeze_excitation(
        inputs: int, inner: int, stage: Stage, layers: LayerFactory
    ) -> nn.Module:
        return SqueezeExcitation(inner, max(1, inputs // stage.squeeze), layers.activation())

    def branch(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x_BCHW))))
        return y_BCHW

    def last_conv(self) -> nn.Module:
        return self.project


class Bneck(MBConv):
    """MobileNetV3's inverted bottleneck (arXiv:1905.02244).

    Inner and squeezed channels are multiples of eight, the squeeze is relative to the inner
    channels, with ReLU and a hard sigmoid for every activation setting.
    """

    @staticmethod
    def inner_channels(inputs: int, stage: Stage) -> int:
        return int(expanded_channels(stage, inputs))

    @staticmethod
    def squeeze_excitation(
        inputs: int, inner: int, stage: Stage, layers: LayerFactory
    ) -> nn.Module:
        squeezed = round_to_eights(inner // stage.squeeze)
        return SqueezeExcitation(inner, squeezed, nn.ReLU(), gate=F.hardsigmoid)


class FusedMBConv(ResidualBlock):
    """EfficientNetV2's fused block (arXiv:2104.00298): full convolution, then 1x1.

    The full convolution expands and strides, the 1x1 projects. With an expansion of 1 there is
    only the activated full convolution. The optional gate follows it.
    """

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__(inputs, stage, drop_rate)
        inner = inputs * int(stage.expansion) if stage.expansion > 1 else stage.width
        self.expand = layers.activated_conv(inputs, inner, stage.kernel, stride=stage.stride)
        self.squeeze = (
            SqueezeExcitation(inner, max(1, inputs // stage.squeeze), layers.activation())
            if stage.squeeze
            else nn.Identity()
        )
        self.project = layers.conv(inner, stage.width) if stage.expansion > 1 else nn.Identity()

    def branch(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.project(self.squeeze(self.expand(x_BCHW)))
        return y_BCHW

    def last_conv(self) -> nn.Module:
        return self.expand if isinstance(self.project, nn.Identity) else self.project


class SeparableConv(nn.Module):
    """Depthwise separable convolution (arXiv:1704.04861), both parts activated."""

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__()
        self.depthwise = layers.activated_conv(
            inputs, inputs, stage.kernel, stride=stage.stride, groups=inputs
        )
        self.pointwise = layers.activated_conv(inputs, stage.width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.pointwise(self.depthwise(x_BCHW))
        return y_BCHW


class ShortcutBlock(nn.Module):
    """Base of ResNet's blocks (arXiv:1512.03385): branch plus shortcut.

    The shortcut is the input, or a 1x1 convolution of it if stride or channels differ. Every block
    has a shortcut, so each may drop its branch.
    """

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__()
        same_shape = stage.stride == 1 and inputs == stage.width
        self.shortcut = (
            nn.Identity() if same_shape else layers.conv(inputs, stage.width, stride=stage.stride)
        )
        self.branch = self.convolutions(inputs, stage, layers)
        self.drop_connect = DropConnect(drop_rate)
        self.activation = layers.activation()

    @staticmethod
    def convolutions(inputs: int, stage: Stage, layers: LayerFactory) -> nn.Sequential:
        raise NotImplementedError

    def forward(self, x_BCHW: Tensor) -> Tensor:
        sum_BCHW = self.shortcut(x_BCHW) + self.drop_connect(self.branch(x_BCHW))
        y_BCHW: Tensor = self.activation(sum_BCHW)
        return y_BCHW

    @property
    def last_norm(self) -> nn.Module:
        """Last norm of the branch, which scales what is added."""
        return self.branch[-1].get_submodule("norm")


class BasicBlock(ShortcutBlock):
    """Two full convolutions; the first one strides."""

    @staticmethod
    def convolutions(inputs: int, stage: Stage, layers: LayerFactory) -> nn.Sequential:
        return nn.Sequential(
            layers.activated_conv(inputs, stage.width, stage.kernel, stride=stage.stride),
            layers.conv(stage.width, stage.width, stage.kernel),
        )


class BottleneckBlock(ShortcutBlock):
    """Reduce 1x1, a full convolution that strides ("v1.5"), expand 1x1."""

    @staticmethod
    def convolutions(inputs: int, stage: Stage, layers: LayerFactory) -> nn.Sequential:
        inner = -(-stage.width // int(stage.expansion))
        return nn.Sequential(
            layers.activated_conv(inputs, inner),
            layers.activated_conv(inner, inner, stage.kernel, stride=stage.stride),
            layers.conv(inner, stage.width),
        )


def conv_block(inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> nn.Module:
    """One activated convolution; nothing is added and nothing dropped."""
    return layers.activated_conv(inputs, stage.width, stage.kernel, stride=stage.stride)


class Concatenate(nn.Module):
    """Concatenation of channels, as a module for counting tools."""

    def forward(self, x_BCHW: Tensor, new_BCHW: Tensor) -> Tensor:
        return torch.cat((x_BCHW, new_BCHW), dim=1)


class DenseLayer(nn.Module):
    """DenseNet's layer (arXiv:1608.06993): new channels are appended.

    Norm and activation, 1x1, norm and activation, a full convolution; nothing is added or dropped.
    """

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__()
        inner = stage.width * int(stage.expansion)
        self.before = layers.activated_norm(inputs)
        self.reduce = layers.activated_conv(inputs, inner)
        self.grow = layers.conv_without_norm(inner, stage.width, stage.kernel)
        self.appended = Concatenate()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.appended(x_BCHW, self.grow(self.reduce(self.before(x_BCHW))))
        return y_BCHW


class TransitionLayer(nn.Module):
    """Transition between dense stages: norm, activation, convolution, strided average.

    If the stride does not divide the size, the average at the edge covers the pixels present.
    """

    def __init__(self, inputs: int, stage: Stage, layers: LayerFactory, drop_rate: float) -> None:
        super().__init__()
        self.before = layers.activated_norm(inputs)
        self.conv = layers.conv_without_norm(inputs, stage.width, stage.kernel)
        stride = stage.stride
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.pool(self.conv(self.before(x_BCHW)))
        return y_BCHW


BLOCKS: dict[str, Callable[[int, Stage, LayerFactory, float], nn.Module]] = {
    "mbconv": MBConv,
    "fused_mbconv": FusedMBConv,
    "bneck": Bneck,
    "separable": SeparableConv,
    "conv": conv_block,
    "basic": BasicBlock,
    "bottleneck": BottleneckBlock,
    "dense": DenseLayer,
    "transition": TransitionLayer,
}
"""Blocks by the name in ``Stage.block``: (input channels, stage, layers, drop rate)."""
