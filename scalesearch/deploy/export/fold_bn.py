"""Batch norms folded into the convolutions before them."""

import copy
from itertools import pairwise

import torch
from torch import nn

from scalesearch.models.cpu_kernels import DepthwiseConv2d


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Return a copy for evaluation with each batch norm folded into its convolution.

    A norm that follows a convolution within an ``nn.Sequential`` becomes an identity, and the
    convolution gets a bias. This covers all our norms except half of DenseNet's, which come first
    and stay. Dropout, which does nothing in evaluation, becomes an identity too. The copy's logits
    equal the network's except for rounding. It cannot be trained.
    """
    network_copy = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(network_copy.modules()):
        children = list(parent.named_children())
        for name, child in children:
            if isinstance(child, nn.Dropout):
                setattr(parent, name, nn.Identity())
        if not isinstance(parent, nn.Sequential):
            continue
        for (name, conv_layer), (norm_name, norm_layer) in pairwise(children):
            if isinstance(conv_layer, nn.Conv2d) and isinstance(norm_layer, nn.BatchNorm2d):
                setattr(parent, name, _fold_norm(conv_layer, norm_layer))
                setattr(parent, norm_name, nn.Identity())
    return network_copy


def _fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return the convolution with the norm's scale in its weights and its shift in a bias.

    Computed in float64, so rounding happens once.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("need a batch norm with running statistics, got one without")
    folded_conv = conv if not isinstance(conv, DepthwiseConv2d) else _plain_conv(conv)
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = (variance + norm.eps).rsqrt()
    shift = -mean * scale
    if norm.affine:
        scale = scale * norm.weight.double()
        shift = shift * norm.weight.double() + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    folded_conv.weight = _parameter(weight, conv.weight)
    folded_conv.bias = _parameter(shift, conv.weight)
    return folded_conv


def _plain_conv(conv: DepthwiseConv2d) -> nn.Conv2d:
    """Return PyTorch's own depthwise convolution; our backward pass has no bias."""
    return nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size[0],
        conv.stride[0],
        padding=conv.kernel_size[0] // 2,
        groups=conv.groups,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    ).eval()


def _parameter(values: torch.Tensor, like: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values.to(like.dtype), requires_grad=False)
