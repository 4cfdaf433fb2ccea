"""Squeeze-and-excitation (arXiv:1709.01507), with a backward pass of few sweeps on a CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from scalesearch.nets.modes import trains_on_cpu


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate computed from their means."""

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
        if not trains_on_cpu(self, x_BCHW):
            return x_BCHW * self.gates(x_BCHW.mean((2, 3), keepdim=True))
        y_BCHW: Tensor = _Scaled.apply(x_BCHW, self.gates, *self.parameters())  # type: ignore[no-untyped-call]
        return y_BCHW

    def gates(self, means_BC11: Tensor) -> Tensor:
        gates_BC11: Tensor = self.gate(self.expand(self.activation(self.reduce(means_BC11))))
        return gates_BC11


class _Scaled(torch.autograd.Function):
    """x * gates(mean of x), whose input gradient is written in one sweep.

    Autograd would write the gradient through the product and the gradient through the mean as two
    tensors of x's size, and add them in a third; here the second, which is one number a channel,
    goes into the product. The small graph of the gates is kept and differentiated as it is.
    """

    @staticmethod
    def forward(
        ctx: Any, x_BCHW: Tensor, gates: Callable[[Tensor], Tensor], *parameters: Tensor
    ) -> Tensor:
        with torch.enable_grad():
            means_BC11 = x_BCHW.detach().mean((2, 3), keepdim=True).requires_grad_()
            gates_BC11 = gates(means_BC11).to(x_BCHW.dtype)
        ctx.save_for_backward(x_BCHW)
        ctx.means, ctx.gates, ctx.parameters = means_BC11, gates_BC11, parameters
        return x_BCHW * gates_BC11.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BCHW: Tensor) -> tuple[Tensor | None, ...]:
        (x_BCHW,) = ctx.saved_tensors
        grad_gates = (grad_BCHW * x_BCHW).sum((2, 3), keepdim=True)
        wanted = [p for p in ctx.parameters if p.requires_grad]
        grad_means, *found = torch.autograd.grad(
            ctx.gates, (ctx.means, *wanted), grad_gates, retain_graph=True
        )
        grads = iter(found)
        pixels = x_BCHW.shape[2] * x_BCHW.shape[3]
        grad_x = torch.addcmul(grad_means / pixels, grad_BCHW, ctx.gates.detach())
        return grad_x, None, *(next(grads) if p.requires_grad else None for p in ctx.parameters)
