"""Parts of blocks: convolutions with norm, squeeze-and-excitation, DropConnect.

Squeeze-and-excitation (arXiv:1709.01507) has a backward pass of few sweeps over memory on a CPU.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from scalesearch.models.cpu_kernels import DepthwiseConv2d, is_training_on_cpu

Derivative: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(gradient of the output, input, output) -> gradient of the input."""

DERIVATIVES: dict[object, Derivative] = {
    nn.SiLU: lambda grad, x, y: torch.ops.aten.silu_backward(grad, x),
    nn.ReLU: lambda grad, x, y: torch.ops.aten.threshold_backward(grad, y, 0),
    torch.sigmoid: lambda grad, x, y: torch.ops.aten.sigmoid_backward(grad, y),
    F.hardsigmoid: lambda grad, x, y: torch.ops.aten.hardsigmoid_backward(grad, x),
}
"""Derivatives of activations (by class) and gates (by function); autograd handles others."""


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that is computed from their means."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: nn.Module,
        gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Scale the map (B, C, H, W); training on a CPU uses our own backward pass."""
        has_derivatives = type(self.activation) in DERIVATIVES and self.gate in DERIVATIVES
        if not (has_derivatives and is_training_on_cpu(self, x_BCHW)):
            return x_BCHW * self.gates(x_BCHW.mean((2, 3), keepdim=True))
        with torch.autocast("cpu", enabled=False):
            y_BCHW: Tensor = _SqueezeExcitationFunction.apply(  # type: ignore[no-untyped-call]
                x_BCHW,
                self.reduce.weight,
                self.reduce.bias,
                self.expand.weight,
                self.expand.bias,
                self.activation,
                self.gate,
            )
        return y_BCHW

    def gates(self, means_BC11: Tensor) -> Tensor:
        gates_BC11: Tensor = self.gate(self.expand(self.activation(self.reduce(means_BC11))))
        return gates_BC11


class _SqueezeExcitationFunction(torch.autograd.Function):
    """x * gates(mean of x), with an input gradient that is written in one sweep.

    Autograd would write the gradient through the product and the gradient through the mean as two
    tensors of x's size, and add them in a third. Here the second one, a number per channel, goes
    into the product. The gates are computed in the weights' precision.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_BCHW: Tensor,
        reduce: Tensor,
        reduce_bias: Tensor,
        expand: Tensor,
        expand_bias: Tensor,
        activation: nn.Module,
        gate: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Scale the map (B, C, H, W); both layers are matrix products of the means (B, C)."""
        means_BC = x_BCHW.mean((2, 3)).to(reduce.dtype)
        squeezed_BS = torch.addmm(reduce_bias, means_BC, reduce.flatten(1).T)
        active_BS = activation(squeezed_BS)
        expanded_BC = torch.addmm(expand_bias, active_BS, expand.flatten(1).T)
        gates_BC = gate(expanded_BC)
        ctx.save_for_backward(
            x_BCHW, reduce, expand, means_BC, squeezed_BS, active_BS, expanded_BC, gates_BC
        )
        ctx.activation, ctx.gate = type(activation), gate
        return x_BCHW * gates_BC.to(x_BCHW.dtype)[:, :, None, None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the map and of both layers' weights and biases."""
        x_BCHW, reduce, expand, means_BC, squeezed_BS, active_BS, expanded_BC, gates_BC = (
            ctx.saved_tensors
        )
        grad_gates = (grad_BCHW * x_BCHW).sum((2, 3)).to(reduce.dtype)
        grad_expanded = DERIVATIVES[ctx.gate](grad_gates, expanded_BC, gates_BC)
        grad_active = grad_expanded @ expand.flatten(1)
        grad_squeezed = DERIVATIVES[ctx.activation](grad_active, squeezed_BS, active_BS)
        pixels = x_BCHW.shape[2] * x_BCHW.shape[3]
        grad_means = (grad_squeezed @ reduce.flatten(1) / pixels).to(x_BCHW.dtype)
        gates = gates_BC.to(x_BCHW.dtype)
        return (
            torch.addcmul(grad_means[:, :, None, None], grad_BCHW, gates[:, :, None, None]),
            (grad_squeezed.T @ means_BC).view_as(reduce),
            grad_squeezed.sum(0),
            (grad_expanded.T @ active_BS).view_as(expand),
            grad_expanded.sum(0),
            None,
            None,
        )


PaddingMode = Literal["half", "same"]
"""Padding of convolutions: half the kernel on every side (PyTorch), or TensorFlow's SAME.

SAME pads a strided convolution as little as possible, and more on the right and at the bottom.
"""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
}


@dataclass(frozen=True, slots=True)
class LayerFactory:
    """Layers with one network's normalisation, activation and padding."""

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
        """Convolution and normalisation, followed by the activation."""
        layers = self.conv(inputs, outputs, kernel, stride=stride, groups=groups)
        layers.add_module("activation", self.activation())
        return layers

    def conv_without_norm(self, inputs: int, outputs: int, kernel: int = 1) -> nn.Conv2d:
        """Convolution at stride 1 without normalisation."""
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)

    def activated_norm(self, channels: int) -> nn.Sequential:
        """Normalisation and activation, for blocks with both before their convolutions."""
        return nn.Sequential(OrderedDict(norm=self.norm(channels), activation=self.activation()))


class SamePaddedConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: odd pixels right and below.

    See tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2. Without a stride it is symmetric.
    """

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
    """Stochastic depth (arXiv:1603.09382): samples lose the branch at ``rate``.

    Kept samples are divided by 1 - rate, so the expectation stays and evaluation needs no change.
    ``strength``: part of the rate that applies now.
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
        return x_BCHW * x_BCHW.new_empty(len(x_BCHW), 1, 1, 1).bernoulli_(keep_probability).div_(
            keep_probability
        )

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
