"""Which of a layer's two ways to compute applies."""

import torch
from torch import Tensor, nn


def is_training_on_cpu(layer: nn.Module, x_BCHW: Tensor) -> bool:
    """Whether gradients will be asked for, on a CPU, of a layer that nobody is tracing.

    Tools that trace a network (export, fvcore) have to see ordinary convolutions.
    """
    return (
        layer.training
        and torch.is_grad_enabled()
        and x_BCHW.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
    )
