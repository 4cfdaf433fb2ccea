"""How weights change: the optimiser of a recipe, and its learning rate as a pure function."""

import math

import torch
from torch import nn

from scalesearch.recipe import Recipe


def optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW with ``momentum`` as its beta1.

    Weight decay acts on the weights of convolutions and of the classifier; biases and
    normalisation (all the parameters of one axis) are spared. ``learning_rate`` sets each
    step's rate.
    """
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate, momentum = recipe.learning_rate, recipe.momentum
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=True)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, counted from 0 over the whole run of ``recipe.epochs``.

    Rises linearly, from one part of the warm-up and not from zero, then stays or falls on a
    half cosine (arXiv:1608.03983) that reaches zero where one step more would be taken.
    """
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step + 1 <= warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    progress = max(0.0, step - warmup) / (recipe.epochs * steps_per_epoch - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
