"""The parts that blocks are made of (see ``blocks``)."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from scalesearch.nets.depthwise import DepthwiseConv2d

PaddingMode = Literal["half", "same"]
"""Of convolutions: half the kernel on every side, as in PyTorch, or TensorFlow's SAME, which at a
stride pads as little as it can, and more on the right and at the bottom."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
}


@dataclass(frozen=True, slots=True)
class LayerFactory:
    """What all blocks of one network share: its normalisation, its activation and its padding."""

    norm: Callable[[int], nn.Module]
    activation: Callable[[], nn.Module]
    padding: PaddingMode = "half"

    def conv(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        """Convolution and normalisation; padded so that strides round sizes up."""
        conv: nn.Module
        if self.padding == "same" and stride > 1 < kernel:
            conv = SamePaddedConv2d(inputs, outputs, kernel, stride, groups)
        elif groups == inputs == outputs > 1:
            conv = DepthwiseConv2d(inputs, kernel, stride)
        else:
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

    def conv_without_norm(self, inputs: int, outputs: int, kernel: int = 1) -> nn.Conv2d:
        """A convolution at stride 1 without normalisation, which follows later or stood before."""
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)

    def activated_norm(self, channels: int) -> nn.Sequential:
        """Normalisation and activation, of blocks that have them before their convolutions."""
        return nn.Sequential(OrderedDict(norm=self.norm(channels), activation=self.activation()))


class SamePaddedConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, of which an odd pixel is right and below
    (tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2). Without a stride it is symmetric."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        padding: list[int] = []
        for pixels in reversed(x_BCHW.shape[2:]):  # F.pad begins with the last axis
            missing = max((-(-pixels // stride) - 1) * stride + kernel - pixels, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x_BCHW, padding))


class DropConnect(nn.Module):
    """Stochastic depth (arXiv:1603.09382): in training, each sample loses the branch at ``rate``.

    What is kept is divided by 1 - rate, so that the expectation stays and evaluation does nothing.
    ``strength``: the part of the rate that acts now.
    """

    strength = 1.0

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"need 0 <= rate < 1, got rate={rate}")
        self.rate = rate

    def forward(self, x_BCHW: Tensor) -> Tensor:
        keep_probability = 1 - self.rate * self.strength
        if not self.training or keep_probability == 1:
            return x_BCHW
        return x_BCHW * x_BCHW.new_empty(len(x_BCHW), 1, 1, 1).bernoulli_(keep_probability).div_(keep_probability)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
