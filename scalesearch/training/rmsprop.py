"""RMSProp as TensorFlow has it, which is not PyTorch's."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSpropTF(torch.optim.Optimizer):
    """RMSProp in TensorFlow's form (``tf.train.RMSPropOptimizer``), with L2 weight decay.

    For a weight w of gradient g + weight_decay * w =: d ::

        square   <- decay * square + (1 - decay) * d^2          (starts at 1)
        velocity <- momentum * velocity + rate * d / sqrt(square + eps)
        w        <- w - velocity

    PyTorch's starts the square at 0, adds eps outside the root, and multiplies by the rate outside
    the velocity, so that a change of the rate acts at once. ``lr`` may be a tensor; nothing waits
    for the device, so that a CUDA graph can hold a step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor,
        *,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "decay": decay,
            "momentum": momentum,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight] = {
                    "square": torch.ones_like(weight, memory_format=torch.preserve_format),
                    "velocity": torch.zeros_like(weight, memory_format=torch.preserve_format),
                }

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step; a closure is refused."""
        if closure is not None:
            raise TypeError("need no closure: RMSProp looks at one gradient a step")
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients = tuple(weight.grad for weight in weights)
            if weights:
                self._step(weights, gradients, group)

    def _step(
        self, weights: list[Tensor], gradients: tuple[Tensor, ...], group: dict[str, Any]
    ) -> None:
        squares = [self.state[weight]["square"] for weight in weights]
        velocities = [self.state[weight]["velocity"] for weight in weights]
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        changes = torch._foreach_div(gradients, list(roots))
        torch._foreach_mul_(changes, group["lr"])
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, changes)
        torch._foreach_sub_(weights, velocities)
