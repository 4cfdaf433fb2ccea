"""The weights a network starts from."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter and buffer, in place, as TensorFlow's EfficientNet does.

    Convolutions: normal, standard deviation sqrt(2 / fan_out). The official
    ``conv_kernel_initializer`` takes fan_out = height * width * kernel.shape[-1], and the last
    axis of a depthwise kernel there is its multiplier, 1; so fan_out is divided by the groups.
    The classifier: uniform in +-1 / sqrt(classes) (``dense_kernel_initializer``). Biases 0,
    normalisation 1 and 0 (github.com/tensorflow/tpu, efficientnet_model.py). All draws come from
    the CPU generator given, whatever device the network is on, in the order of ``modules()``.

    Raises TypeError for a layer with parameters that it knows no rule for.
    """
    for module in network.modules():
        match module:
            case nn.Conv2d():
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                deviation = math.sqrt(2 / fan_out)
                _fill(module, _room(module.weight).normal_(0, deviation, generator=generator))
            case nn.Linear():
                bound = 1 / math.sqrt(module.out_features)
                _fill(module, _room(module.weight).uniform_(-bound, bound, generator=generator))
            case nn.BatchNorm2d():
                module.reset_parameters()
            case _ if list(module.parameters(recurse=False)):
                raise TypeError(f"need a rule to initialise {type(module).__name__}, got none")


def _room(weight: Tensor) -> Tensor:
    """Room for a weight's values on the CPU, in row-major order whatever its own layout."""
    return torch.empty(weight.shape, dtype=torch.float32, device="cpu")


def _fill(layer: nn.Conv2d | nn.Linear, weight: Tensor) -> None:
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.zero_()
