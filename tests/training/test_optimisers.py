"""What decays, and at which rate the weights move."""

import math
from dataclasses import replace

import pytest
import torch

from scalesearch.architectures import Architecture
from scalesearch.nets import build
from scalesearch.recipe import Recipe
from scalesearch.training import learning_rate
from scalesearch.training.optimisers import optimiser

STEPS = 10
RECIPE = Recipe(epochs=4, learning_rate=0.2, warmup_epochs=1)


def rates(recipe: Recipe) -> list[float]:
    return [learning_rate(recipe, step, STEPS) for step in range(recipe.epochs * STEPS)]


def test_the_warm_up_rises_in_equal_parts_to_the_full_rate() -> None:
    assert rates(RECIPE)[:STEPS] == pytest.approx([0.02 * step for step in range(1, 11)])


def test_the_cosine_is_at_half_way_half_and_ends_at_zero() -> None:
    assert learning_rate(RECIPE, 10, STEPS) == pytest.approx(0.2)
    assert learning_rate(RECIPE, 25, STEPS) == pytest.approx(0.1)
    assert learning_rate(RECIPE, 40, STEPS) == pytest.approx(0, abs=1e-12)
    assert rates(RECIPE)[STEPS:] == sorted(rates(RECIPE)[STEPS:], reverse=True)


def test_a_constant_rate_stays_after_its_warm_up() -> None:
    assert set(rates(replace(RECIPE, schedule="constant"))[STEPS - 1 :]) == {0.2}


def test_without_a_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rates(replace(RECIPE, warmup_epochs=0))[0] == 0.2


def test_a_warm_up_may_take_a_fraction_of_an_epoch_or_all_of_them() -> None:
    fraction = rates(replace(RECIPE, warmup_epochs=0.25))
    assert fraction[:3] == pytest.approx([0.08, 0.16, 0.2])
    assert max(fraction) <= 0.2
    assert rates(replace(RECIPE, warmup_epochs=4))[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_normalisation_do_not_decay(architecture: Architecture, name: str) -> None:
    network = build(architecture)
    recipe = replace(RECIPE, optimizer=name, weight_decay=0.1, warmup_epochs=0)
    kept, spared = optimiser(network, recipe).param_groups
    assert (kept["weight_decay"], spared["weight_decay"]) == (0.1, 0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(parameter)].split(".")[-1] for parameter in kept["params"]} == {"weight"}
    assert not any(".norm." in names[id(parameter)] for parameter in kept["params"])
    assert len(kept["params"]) + len(spared["params"]) == len(names)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_the_step_of_nesterov(momentum: float) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    recipe = replace(RECIPE, momentum=momentum, weight_decay=0.0)
    steps = optimiser(layer, recipe)
    for _ in range(2):
        layer.weight.grad = torch.ones(1, 1)
        steps.step()
    # velocities 1 and 1 + m; a step follows the gradient plus m times the velocity
    moved = 0.2 * ((1 + momentum) + (1 + momentum * (1 + momentum)))
    assert layer.weight.item() == pytest.approx(1 - moved)


def test_adamw_takes_the_recipes_momentum_as_beta1(architecture: Architecture) -> None:
    (group, _) = optimiser(build(architecture), replace(RECIPE, optimizer="adamw")).param_groups
    assert group["betas"] == (0.9, 0.999)
    assert math.isclose(group["lr"], 0.2)
