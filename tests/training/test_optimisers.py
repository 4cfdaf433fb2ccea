"""Optimisers: weight decay, their steps, and their state in checkpoints."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.models.network import build_model
from scalesearch.training.optimisers import (
    RMSpropTF,
    clip_gradients,
    make_optimizer,
    set_learning_rate,
)

RECIPE = Recipe(epochs=4, learning_rate=0.2, warmup_epochs=1)
OPTIMIZERS = ["sgd", "adam", "adamw", "rmsprop"]
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def step_with(optimizer: torch.optim.Optimizer, gradients: torch.Tensor) -> None:
    """Take a step whose gradients are rows of a fixed random table."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, row in zip(parameters, gradients, strict=False):
        parameter.grad = row[: parameter.numel()].reshape(parameter.shape).to(parameter.device)
    optimizer.step()


def layer(device: str = "cpu") -> nn.Linear:
    made = nn.Linear(3, 2)
    made.weight.data = torch.linspace(-1, 1, 6).reshape(2, 3)
    made.bias.data = torch.tensor([0.5, -0.5])
    return made.to(device)


def table(steps: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(steps, 2, 6, generator=torch.Generator().manual_seed(seed))


@each_optimizer
def test_biases_and_normalisation_do_not_decay(architecture: Architecture, name: str) -> None:
    network = build_model(architecture)
    recipe = replace(RECIPE, optimizer=name, weight_decay=0.1, warmup_epochs=0)
    kept, spared = make_optimizer(network, recipe).param_groups
    assert (kept["weight_decay"], spared["weight_decay"]) == (0.1, 0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(parameter)].split(".")[-1] for parameter in kept["params"]} == {"weight"}
    assert not any(".norm." in names[id(parameter)] for parameter in kept["params"])
    assert len(kept["params"]) + len(spared["params"]) == len(names)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, True), (0.9, True), (0.9, False)])
def test_sgd_uses_nesterov_or_plain_momentum(momentum: float, nesterov: bool) -> None:
    one = nn.Linear(1, 1, bias=False)
    one.weight.data.fill_(1.0)
    steps = make_optimizer(
        one, replace(RECIPE, momentum=momentum, nesterov=nesterov, weight_decay=0.0)
    )
    for _ in range(2):
        one.weight.grad = torch.ones(1, 1)
        steps.step()
    # velocities 1 and 1 + m; Nesterov's step follows the gradient plus m times the velocity
    velocities = (1, 1 + momentum)
    moved = sum(1 + momentum * v if nesterov else v for v in velocities)
    assert one.weight.item() == pytest.approx(1 - 0.2 * moved)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_takes_the_recipes_momentum_as_beta1(architecture: Architecture, name: str) -> None:
    recipe = replace(RECIPE, optimizer=name, momentum=0.8)
    (group, _) = make_optimizer(build_model(architecture), recipe).param_groups
    assert group["betas"] == (0.8, 0.999)
    assert math.isclose(group["lr"], 0.2)


def test_adam_adds_the_decay_to_the_gradient_and_adamw_to_the_weight() -> None:
    moved = {}
    for name in ("adam", "adamw"):
        one = nn.Linear(1, 1, bias=False)
        one.weight.data.fill_(2.0)
        steps = make_optimizer(one, replace(RECIPE, optimizer=name, weight_decay=0.1))
        one.weight.grad = torch.ones(1, 1)
        steps.step()
        moved[name] = one.weight.item()
    assert moved["adam"] == pytest.approx(2 - 0.2)  # of any gradient: its sign
    assert moved["adamw"] == pytest.approx(2 - 0.2 * 0.1 * 2 - 0.2)


@pytest.mark.parametrize(("name", "eps"), [("adam", 1e-8), ("adamw", 1e-8), ("rmsprop", 1e-3)])
def test_eps_comes_from_the_recipe_or_the_optimisers_default(name: str, eps: float) -> None:
    recipe = replace(RECIPE, optimizer=name)
    assert make_optimizer(layer(), recipe).param_groups[0]["eps"] == eps
    assert make_optimizer(layer(), replace(recipe, optimizer_eps=0.5)).param_groups[0]["eps"] == 0.5


def by_hand(
    weight: np.ndarray, gradients: np.ndarray, rates: list[float], decay: float
) -> np.ndarray:
    """TensorFlow's RMSProp with momentum 0.7, memory 0.8, eps 0.01, in float64."""
    square, velocity = np.ones_like(weight), np.zeros_like(weight)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + decay * weight
        square = 0.8 * square + 0.2 * gradient**2
        velocity = 0.7 * velocity + rate * gradient / np.sqrt(square + 0.01)
        weight = weight - velocity
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_rmsprop_takes_tensorflows_steps(decay: float) -> None:
    recipe = replace(
        RECIPE,
        optimizer="rmsprop",
        momentum=0.7,
        rmsprop_decay=0.8,
        optimizer_eps=0.01,
        weight_decay=decay,
    )
    linear, rates, gradients = layer(), [0.3, 0.1, 0.2, 0.05], table(4)
    weight, bias = (p.detach().double().numpy().copy() for p in linear.parameters())
    steps = make_optimizer(linear, recipe)
    for rate, gradient in zip(rates, gradients, strict=True):
        set_learning_rate(steps, rate)
        step_with(steps, gradient)
    rows = gradients.double().numpy()
    expected = by_hand(weight, rows[:, 0].reshape(-1, 2, 3), rates, decay)
    np.testing.assert_allclose(linear.weight.detach().numpy(), expected, rtol=0, atol=1e-6)
    expected = by_hand(bias, rows[:, 1, :2], rates, 0.0)
    np.testing.assert_allclose(linear.bias.detach().numpy(), expected, rtol=0, atol=1e-6)


def test_rmsprop_starts_with_a_square_of_one() -> None:
    """1 - 0.1 * 2 / sqrt(0.9 + 0.1 * 4 + 1e-3); PyTorch's would be 1 - 0.1 * 2 / sqrt(0.4)."""
    weight = torch.ones(1, requires_grad=True)
    weight.grad = torch.full((1,), 2.0)
    RMSpropTF([weight], 0.1).step()
    assert weight.item() == pytest.approx(1 - 0.2 / math.sqrt(1.301), abs=1e-7)


def test_rmsprop_skips_weights_without_a_gradient() -> None:
    weights = [torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)]
    steps = RMSpropTF(weights, 0.1, weight_decay=0.1)
    steps.step()
    weights[1].grad = torch.ones(2)
    steps.step()
    assert torch.equal(weights[0], torch.ones(2))
    assert not torch.equal(weights[1], torch.ones(2))


@each_optimizer
def test_initialised_state_changes_no_bit(name: str) -> None:
    """PyTorch makes its own at the first step, in which no CUDA graph could then be captured."""
    ours, peers = layer(), layer()
    recipe = replace(RECIPE, optimizer=name)
    started, lazy = make_optimizer(ours, recipe), make_optimizer(peers, recipe)
    assert len(started.state) == 2
    if name != "rmsprop":
        lazy.state.clear()
    addresses = [value.data_ptr() for state in started.state.values() for value in state.values()]
    for gradients in table(3):
        step_with(started, gradients)
        step_with(lazy, gradients)
    assert torch.equal(ours.weight, peers.weight)
    assert torch.equal(ours.bias, peers.bias)
    assert addresses == [
        value.data_ptr() for state in started.state.values() for value in state.values()
    ]


@each_optimizer
def test_a_restored_optimiser_takes_the_same_steps(name: str) -> None:
    recipe, gradients = replace(RECIPE, optimizer=name), table(4)
    whole, steps = (made := layer()), make_optimizer(made, recipe)
    for row in gradients[:2]:
        step_with(steps, row)
    weights, state = copy.deepcopy(whole.state_dict()), copy.deepcopy(steps.state_dict())
    again, resumed = (made := layer()), make_optimizer(made, recipe)
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    for row in gradients[2:]:
        step_with(steps, row)
        step_with(resumed, row)
    assert torch.equal(whole.weight, again.weight)


@each_optimizer
def test_set_learning_rate_acts_on_the_next_step(name: str) -> None:
    moves = []
    for rate in (0.1, 0.2):
        linear = layer()
        steps = make_optimizer(linear, replace(RECIPE, optimizer=name, weight_decay=0.0))
        set_learning_rate(steps, rate)
        step_with(steps, table(1)[0])
        moves.append(linear.weight.detach() - layer().weight)
    torch.testing.assert_close(moves[1], 2 * moves[0])


def test_a_tensor_rate_is_filled_in_place() -> None:
    weight = torch.ones(1, requires_grad=True)
    steps = RMSpropTF([weight], rate := torch.tensor(0.5))
    set_learning_rate(steps, 0.1)
    assert rate == pytest.approx(0.1)
    weight.grad = torch.full((1,), 2.0)
    steps.step()
    assert weight.item() == pytest.approx(1 - 0.2 / math.sqrt(1.301), abs=1e-7)


def test_the_base_rate_is_scaled_by_the_batch() -> None:
    recipe = replace(RECIPE, batch_size=64, learning_rate_batch=256)
    assert make_optimizer(layer(), recipe).param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize(("limit", "expected"), [(1.0, 1.0), (10.0, 5.0)])
def test_gradients_are_scaled_down_together_and_never_up(limit: float, expected: float) -> None:
    weights = [torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])
    assert clip_gradients(weights, limit).item() == pytest.approx(5)
    assert math.hypot(weights[0].grad, weights[1].grad) == pytest.approx(expected, rel=1e-5)
    assert weights[0].grad / weights[1].grad == pytest.approx(-0.75)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each_optimizer
def test_a_cuda_graph_replays_the_steps_at_new_rates(name: str) -> None:
    recipe = replace(RECIPE, optimizer=name)
    eager, graphed, gradients = layer(), layer("cuda"), table(3).cuda()
    steps = make_optimizer(graphed, recipe)
    restored = make_optimizer(graphed, recipe)
    restored.load_state_dict(copy.deepcopy(steps.state_dict()))
    for weight in graphed.parameters():
        weight.grad = torch.zeros_like(weight)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        clip_gradients(graphed.parameters(), 1.0)
        restored.step()
    plain = make_optimizer(eager, recipe)
    for rate, rows in zip([0.3, 0.1, 0.2], gradients, strict=True):
        set_learning_rate(restored, rate)
        graphed.weight.grad.copy_(rows[0].reshape(2, 3))
        graphed.bias.grad.copy_(rows[1, :2])
        graph.replay()
        set_learning_rate(plain, rate)
        eager.weight.grad = rows[0].reshape(2, 3).cpu()
        eager.bias.grad = rows[1, :2].cpu()
        clip_gradients(eager.parameters(), 1.0)
        plain.step()
    torch.testing.assert_close(graphed.weight.cpu(), eager.weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(graphed.bias.cpu(), eager.bias, rtol=1e-5, atol=1e-6)
