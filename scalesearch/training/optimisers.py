"""The optimiser of a recipe, TensorFlow's RMSProp, and gradient clipping."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.config.recipe import Recipe
from scalesearch.models.network import Network
from scalesearch.training.schedules import peak_learning_rate


class RMSpropTF(torch.optim.Optimizer):
    """RMSProp in TensorFlow's form, with L2 weight decay.

    For a weight w of gradient g + weight_decay * w =: d ::

        square   <- decay * square + (1 - decay) * d^2          (starts at 1)
        velocity <- momentum * velocity + rate * d / sqrt(square + eps)
        w        <- w - velocity

    PyTorch's RMSprop starts the square at 0, adds eps outside the root, and multiplies by the rate
    outside the velocity, so a change of the rate acts at once. ``lr`` may be a tensor. A step never
    waits for the device, so a CUDA graph can record it.
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
        """Take one step; closures are not supported."""
        if closure is not None:
            raise TypeError("RMSpropTF.step: need no closure, got one")
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


__all__ = ["RMSpropTF", "clip_gradients", "make_optimizer", "set_learning_rate"]

RATE_FRACTION = "part_of_rate"
"""Key of a parameter group that uses only a fraction of the rate."""


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Create the recipe's optimiser for a network that is on its device.

    Weight decay acts on the weights of convolutions and linear layers, but not on biases and
    norms (the parameters with one axis). ``set_learning_rate`` sets the rate of each step; a
    recipe's transfer may give all parts but the classifier only a fraction of it.
    A CUDA graph can record any step, even the first: on CUDA the rate is a tensor, and all state
    exists from the start, with the values that a first step would create.
    """
    parameters = list(network.parameters())
    groups = _parameter_groups(parameters, recipe)
    device = parameters[0].device
    capturable = device.type == "cuda"
    rate = (
        torch.tensor(peak_learning_rate(recipe), device=device)
        if capturable
        else peak_learning_rate(recipe)
    )
    if recipe.transfer is not None and recipe.transfer.body_rate != 1:
        groups = list(_slower_body_groups(network, recipe, recipe.transfer.body_rate, rate))
    optimizer = _optimizer_by_name(groups, recipe, rate, capturable)
    if capturable:
        optimizer.register_load_state_dict_post_hook(_move_rate_to_device)
    return optimizer


def _parameter_groups(parameters: Iterable[Tensor], recipe: Recipe) -> list[dict[str, Any]]:
    """Group parameters by their weight decay."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _slower_body_groups(
    network: nn.Module, recipe: Recipe, rate_fraction: float, rate: float | Tensor
) -> Iterator[dict[str, Any]]:
    """Yield the classifier's groups, then the others with a fraction of the rate."""
    if not isinstance(network, Network):
        raise TypeError(f"need a network with a known classifier, got {type(network).__name__}")
    classifier_parameters = list(network.classifier.parameters())
    classifier_ids = set(map(id, classifier_parameters))
    yield from _parameter_groups(classifier_parameters, recipe)
    for group in _parameter_groups(
        (p for p in network.parameters() if id(p) not in classifier_ids), recipe
    ):
        body_rate = (
            rate.clone() * rate_fraction if isinstance(rate, Tensor) else rate * rate_fraction
        )
        yield {**group, "lr": body_rate, RATE_FRACTION: rate_fraction}


def _optimizer_by_name(
    groups: list[dict[str, Any]], recipe: Recipe, rate: float | Tensor, capturable: bool
) -> torch.optim.Optimizer:
    momentum = recipe.momentum
    eps = recipe.optimizer_eps or (1e-3 if recipe.optimizer == "rmsprop" else 1e-8)
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.nesterov and momentum > 0
            sgd = torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=True)
            return _initialise_state(sgd, "momentum_buffer") if momentum else sgd
        case "adam" | "adamw":
            optimizer_class = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
            betas = (momentum, 0.999)
            adam = optimizer_class(
                groups, lr=rate, betas=betas, eps=eps, fused=True, capturable=capturable
            )
            return _initialise_state(adam, "exp_avg", "exp_avg_sq", has_step_count=True)
        case "rmsprop":
            decay = recipe.rmsprop_decay
            return RMSpropTF(groups, rate, decay=decay, momentum=momentum, eps=eps)


def _initialise_state(
    optimizer: torch.optim.Optimizer, *zeros: str, has_step_count: bool = False
) -> torch.optim.Optimizer:
    """Create the named state tensors with zeros, and Adam's step count."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            state = {name: torch.zeros_like(weight) for name in zeros}
            count = {"step": torch.zeros((), device=weight.device)} if has_step_count else {}
            optimizer.state[weight] = count | state
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next steps, in place where it is a tensor."""
    for group in optimizer.param_groups:
        group_rate = rate * group.get(RATE_FRACTION, 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group_rate)
        else:
            group["lr"] = group_rate


def clip_gradients(parameters: Iterable[Tensor], norm: float) -> Tensor:
    """Scale all gradients together to at most this norm, in place; return their norm.

    This never waits for the device: if the norm is not finite, neither are the gradients, and the
    loss of the next step shows it.
    """
    return torch.nn.utils.clip_grad_norm_(parameters, norm, error_if_nonfinite=False)


def _move_rate_to_device(optimizer: torch.optim.Optimizer) -> None:
    """Move a loaded rate to the device, where a CUDA graph can read it."""
    device = optimizer.param_groups[0]["params"][0].device
    for group in optimizer.param_groups:
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32).to(device)
