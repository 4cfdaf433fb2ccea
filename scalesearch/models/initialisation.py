"""Initial weights of a network."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from scalesearch.models.blocks import ResidualBlock, ShortcutBlock


@torch.no_grad()
def initialise(
    network: nn.Module,
    generator: torch.Generator,
    rule: Literal["tf", "fan_in"] = "tf",
    residual: Literal["tf", "zero", "scaled"] = "tf",
) -> None:
    """Fill every parameter and buffer, in place, by a rule.

    ``tf``: as TensorFlow's EfficientNet (github.com/tensorflow/tpu, efficientnet_model.py).
    Convolutions are normal with standard deviation sqrt(2 / fan_out); the official
    ``conv_kernel_initializer`` takes fan_out = height * width * kernel.shape[-1], and the last
    axis of a depthwise kernel there is its multiplier, 1, so fan_out is divided by the groups. The
    classifier is uniform in +-1 / sqrt(classes) (``dense_kernel_initializer``). ``fan_in``: with
    the variances of PyTorch's defaults. Convolutions are normal with standard deviation sqrt(1 /
    (3 fan_in)), the classifier is uniform in +-1 / sqrt(inputs). Smaller weights under batch norm
    take larger effective steps, which a run of few epochs needs.

    Biases are 0, normalisation is 1 and 0. Only the weight of each residual branch's last norm
    depends on ``residual``: 1 (``tf``), 0 (``zero``: every residual block begins as the identity,
    arXiv:1706.02677, section 5.1) or 1 / sqrt(K) among K branches (``scaled``: their sum does not
    grow with their number; arXiv:2510.04327 scales the branch's convolutions so, which a norm
    after them would undo).

    All draws come from the given CPU generator, for any device of the network, in the order of
    ``modules()``. Raises TypeError for a layer with parameters that has no rule.
    """
    tf = rule == "tf"
    for module in network.modules():
        match module:
            case nn.Conv2d():
                pixels = math.prod(module.kernel_size)
                fan_out = pixels * module.out_channels // module.groups
                fan_in = pixels * module.in_channels // module.groups
                deviation = math.sqrt(2 / fan_out if tf else 1 / (3 * fan_in))
                _fill(
                    module, _empty_weight(module.weight).normal_(0, deviation, generator=generator)
                )
            case nn.Linear():
                bound = 1 / math.sqrt(module.out_features if tf else module.in_features)
                _fill(
                    module,
                    _empty_weight(module.weight).uniform_(-bound, bound, generator=generator),
                )
            case nn.BatchNorm2d():
                module.reset_parameters()
            case _ if list(module.parameters(recurse=False)):
                raise TypeError(f"need a rule to initialise {type(module).__name__}, got none")
    norms = _last_norms(network)
    weight = {"tf": 1.0, "zero": 0.0, "scaled": max(1, len(norms)) ** -0.5}[residual]
    for norm in norms:
        nn.init.constant_(norm.get_parameter("weight"), weight)


def _last_norms(network: nn.Module) -> list[nn.Module]:
    """Norm at the end of each residual branch."""
    blocks = (
        module for module in network.modules() if isinstance(module, ResidualBlock | ShortcutBlock)
    )
    return [block.last_norm for block in blocks if block.last_norm]


def _empty_weight(weight: Tensor) -> Tensor:
    """Empty weight on the CPU in row-major order, whatever its own layout."""
    return torch.empty(weight.shape, dtype=torch.float32, device="cpu")


def _fill(layer: nn.Conv2d | nn.Linear, weight: Tensor) -> None:
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.zero_()
