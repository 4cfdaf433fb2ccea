"""CPU workarounds: fast depthwise gradients, and safe strided 1x1 convolutions.

oneDNN (3.x, in PyTorch 2.11 to 2.13) is slow in two passes of a depthwise convolution, by factors
of 2 to 200: the gradient of the weights if the kernel is wider than 3 or than the map, and in
bfloat16 the gradient of the input if there is a stride. Both are computed here by calls that are
fast; forward pass, evaluation, export and tracing are unchanged.

oneDNN's backward pass of a strided 1x1 convolution in channels_last order writes outside of its
memory if the input has fewer channels than its block of 8 (seen with PyTorch 2.13 on an AMD EPYC:
the process dies of a corrupted heap). Such a convolution reads only every ``stride``-th pixel, so
selecting these first and then not striding gives the same result.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def is_training_on_cpu(layer: nn.Module, x_BCHW: Tensor) -> bool:
    """Return whether a CPU training step needs gradients of an untraced layer.

    Tools that trace a network (export, fvcore) must see ordinary convolutions.
    """
    return (
        layer.training
        and torch.is_grad_enabled()
        and x_BCHW.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
    )


MAX_FAST_COLUMNS = 3
"""Widest kernel whose weight gradient oneDNN computes with vector code."""


class DepthwiseConv2d(nn.Conv2d):
    """A convolution with one filter per channel and half-kernel padding.

    Its parameters and result equal those of ``nn.Conv2d``.
    """

    keeps_full_precision = False
    """If true, compute in the weights' precision and return the input's, even under autocast."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            channels,
            channels,
            kernel,
            stride,
            padding=kernel // 2,
            groups=channels,
            bias=False,
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.keeps_full_precision and torch.is_autocast_enabled(x_BCHW.device.type):
            with torch.autocast(x_BCHW.device.type, enabled=False):
                return self._convolve(x_BCHW.to(self.weight.dtype)).to(x_BCHW.dtype)
        return self._convolve(x_BCHW)

    def _convolve(self, x_BCHW: Tensor) -> Tensor:
        if not is_training_on_cpu(self, x_BCHW):
            return super().forward(x_BCHW)
        y_BCHW: Tensor = _DepthwiseFunction.apply(x_BCHW, self.weight, self.stride[0])  # type: ignore[no-untyped-call]
        return y_BCHW


class _DepthwiseFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x_BCHW, weight)
        ctx.stride = stride
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(
                x_BCHW, weight.to(x_BCHW.dtype), None, stride, weight.shape[2] // 2, 1, len(weight)
            )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor | None, Tensor, None]:
        """Gradients of the map, in its own format where that is fast, and of the weights."""
        x_BCHW, weight = ctx.saved_tensors
        wide_grad, wide_x = grad_BCHW.to(weight.dtype), x_BCHW.to(weight.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            needs_full_precision = ctx.stride > 1 and x_BCHW.dtype == torch.bfloat16
            grad, x = (wide_grad, wide_x) if needs_full_precision else (grad_BCHW, x_BCHW)
            padding = weight.shape[2] // 2
            grad_x, _, _ = _convolution_backward(
                grad, x, weight.to(x.dtype), ctx.stride, (padding, padding), (True, False, False)
            )
            grad_x = grad_x.to(x_BCHW.dtype)
        return grad_x, weight_gradient(wide_grad, wide_x, weight, ctx.stride), None


def weight_gradient(grad_BCHW: Tensor, x_BCHW: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Gradient of a depthwise convolution's weights (C, 1, k, k), in their precision.

    The kernel's columns are taken up to three at a time: each part is the gradient of a narrower
    kernel on the shifted input. Taps that only see padding get zeros.
    """
    rows, columns = weight.shape[2:]
    pixels = x_BCHW.shape[2]
    if stride == 1 and (unseen := columns // 2 - (pixels - 1)) > 0:
        inner = weight[:, :, unseen:-unseen, unseen:-unseen]
        return F.pad(weight_gradient(grad_BCHW, x_BCHW, inner, stride), (unseen,) * 4)
    if columns <= MAX_FAST_COLUMNS <= pixels:
        return _partial_weight_gradient(
            grad_BCHW, x_BCHW, columns, rows // 2, columns // 2, weight, stride
        )
    # Rows are padded too if the map is lower than the kernel: that case is slow as well.
    above, outside = (0, rows // 2) if pixels >= rows else (rows // 2, 0)
    gradients = []
    for first in range(0, columns, MAX_FAST_COLUMNS):
        part_columns = min(MAX_FAST_COLUMNS, columns - first)
        left, right = columns // 2 - first, part_columns + first - 1 - columns // 2
        window = _pad(x_BCHW, left, right, above)
        gradients.append(
            _partial_weight_gradient(grad_BCHW, window, part_columns, outside, 0, weight, stride)
        )
    return torch.cat(gradients, dim=3)


def _pad(x_BCHW: Tensor, left: int, right: int, above: int) -> Tensor:
    """Pad the map with columns and rows of zeros; negative widths cut columns off.

    ``F.pad`` writes everything twice, zeros first.
    """
    count, channels, height, width = x_BCHW.shape
    shape = (count, channels, height + 2 * above, width + left + right)
    window = torch.empty(shape, dtype=x_BCHW.dtype, memory_format=torch.channels_last)
    first, last = max(left, 0), max(left, 0) + width - max(-left, 0) - max(-right, 0)
    if last <= first:  # the map is narrower than the part to cut off
        return window.zero_()
    for zeros in (
        window[:, :, :above],
        window[:, :, above + height :],
        window[..., :first],
        window[..., last:],
    ):
        zeros.zero_()
    window[:, :, above : above + height, first:last] = x_BCHW[
        ..., max(-left, 0) : width - max(-right, 0)
    ]
    return window


def _partial_weight_gradient(
    grad_BCHW: Tensor,
    x_BCHW: Tensor,
    columns: int,
    row_padding: int,
    column_padding: int,
    weight: Tensor,
    stride: int,
) -> Tensor:
    shape_only_weight = weight.new_empty(
        len(weight), 1, weight.shape[2], columns
    )  # only its shape is read
    _, gradient, _ = _convolution_backward(
        grad_BCHW,
        x_BCHW,
        shape_only_weight,
        stride,
        (row_padding, column_padding),
        (False, True, False),
    )
    return gradient


def _convolution_backward(
    grad_BCHW: Tensor,
    x_BCHW: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, int],
    output_mask: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad_BCHW,
        x_BCHW,
        weight,
        None,
        (stride, stride),
        padding,
        (1, 1),
        False,
        (0, 0),
        len(weight),
        output_mask,
    )
    return gradients


ONEDNN_BLOCK = 8


def replace_narrow_strides(network: nn.Module) -> nn.Module:
    """Replace strided 1x1 convolutions of few channels by equivalent ones.

    Parameters and their names stay.
    """
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _is_narrow(layer):
            layer.register_forward_pre_hook(partial(_subsample, strides=layer.stride))
            layer.stride = (1, 1)
    return network


def _is_narrow(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.padding in ((0, 0), "valid")
        and layer.in_channels // layer.groups < ONEDNN_BLOCK
    )


def _subsample(
    layer: nn.Module, inputs: tuple[Any, ...], strides: tuple[int, ...]
) -> tuple[Tensor, ...]:
    (x_BCHW,) = inputs
    return (x_BCHW[:, :, :: strides[0], :: strides[1]],)
