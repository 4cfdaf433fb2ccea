"""Strided 1x1 convolutions of few channels, made safe on a CPU.

oneDNN's backward pass of a strided 1x1 convolution in channels_last order writes outside of its
memory where the input has fewer channels than its block of 8 (seen with PyTorch 2.13 on an AMD
EPYC: the process dies of a corrupted heap). Such a convolution reads every ``stride``-th pixel and
nothing else, so taking these first and then not striding gives the same.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn

ONEDNN_BLOCK = 8


def replace_narrow_strides(network: nn.Module) -> nn.Module:
    """The network, its strided 1x1 convolutions of few channels replaced by what is equivalent.

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
