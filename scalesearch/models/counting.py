"""Cost of any module, counted while one image passes through it."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


@dataclass(frozen=True, slots=True)
class ForwardCount:
    """Output and cost of one forward pass.

    ``macs``: half of torch's flop count. ``activations``: outputs of convolutions and linear
    layers.
    """

    output: Any
    macs: int
    activations: int


def count_forward(module: nn.Module, channels: int, pixels: int, device: str) -> ForwardCount:
    """Pass one black image through a network on ``meta`` (shapes only) or on ``cpu``.

    The module cannot be used afterwards. Exceptions of its code pass through.
    """
    outputs: list[int] = []

    def record_output_size(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output.numel())

    for layer in module.modules():
        if isinstance(layer, _ConvNd | nn.Linear):
            layer.register_forward_hook(record_output_size)
        elif type(layer) in NORMS:  # free, and most of a forward pass's time on the meta device
            layer.forward = nn.Identity().forward
    counter = FlopCounterMode(display=False)
    device_context = torch.device(device) if device == "meta" else nullcontext()
    with torch.no_grad(), device_context, torch.random.fork_rng(devices=[]), counter:
        output = module.eval()(torch.zeros(1, channels, pixels, pixels))
    return ForwardCount(output, counter.get_total_flops() // 2, sum(outputs))
