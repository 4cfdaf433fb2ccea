"""One step: summed gradients, clipping, averages."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.augmentation.pipeline import training_inputs
from scalesearch.data.dataset import Dataset
from scalesearch.models.network import build_model
from scalesearch.training.device import grad_scaler, resolved_precision
from scalesearch.training.ema import EMA
from scalesearch.training.optimisers import make_optimizer, set_learning_rate
from scalesearch.training.step import StepInputs, TrainingStep

CPU = torch.device("cpu")
PLAIN = Recipe(
    batch_size=16,
    momentum=0,
    weight_decay=0,
    learning_rate=0.1,
    augmentation=Augmentation(crop=0.125),
)


def without_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 2)
    )


def with_norm(architecture: Architecture) -> nn.Module:
    torch.manual_seed(0)
    return build_model(architecture, norm_momentum=0.1)


def step_of(
    network: nn.Module, dataset: Dataset, recipe: Recipe, averages: EMA | None = None
) -> TrainingStep:
    return TrainingStep(
        network=network,
        unwrapped=network,
        optimizer=make_optimizer(network, recipe),
        ema=averages,
        scaler=grad_scaler("fp32", CPU),
        recipe=recipe,
        transform=input_transform(dataset, recipe, 9),
        resolution=9,
        strength=1.0,
        precision=resolved_precision(recipe.precision, CPU),
    )


def inputs_of(
    dataset: Dataset, recipe: Recipe, count: int = 16, averaging: float = 0.0
) -> StepInputs:
    rows = slice(0, count)
    draws = epoch_draws(recipe.augmentation, len(dataset.train), seed=1)
    return StepInputs(
        dataset.train.images[rows],
        dataset.train.labels[rows],
        {kind: values[rows] for kind, values in draws.items()},
        torch.tensor(averaging),
    )


def weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def by_hand(network: nn.Module, inputs: StepInputs, dataset: Dataset, recipe: Recipe) -> Tensor:
    images, targets = training_inputs(
        inputs.images, inputs.labels, inputs.draws, input_transform(dataset, recipe, 9), 9
    )
    return F.cross_entropy(network(images), targets, label_smoothing=recipe.label_smoothing)


def test_the_weights_follow_the_gradient_of_the_returned_loss(
    architecture: Architecture, dataset: Dataset
) -> None:
    network = with_norm(architecture)
    other, inputs = copy.deepcopy(network), inputs_of(dataset, PLAIN)
    loss = step_of(network, dataset, PLAIN)(inputs)
    expected = by_hand(other, inputs, dataset, PLAIN)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    assert not loss.requires_grad
    moved = weights(other) - 0.1 * torch.cat([w.grad.flatten() for w in other.parameters()])
    torch.testing.assert_close(weights(network), moved)


@pytest.mark.parametrize(("count", "micro"), [(16, 8), (16, 1), (10, 4)])
def test_without_batch_norm_micro_batches_are_the_whole_batch(
    dataset: Dataset, count: int, micro: int
) -> None:
    """Also where the last of them is smaller: ten images in parts of four."""
    whole, parts, inputs = without_norm(), without_norm(), inputs_of(dataset, PLAIN, count)
    recipe = replace(PLAIN, batch_size=16, micro_batch=micro)
    one = step_of(whole, dataset, PLAIN)(inputs)
    other = step_of(parts, dataset, recipe)(inputs)
    torch.testing.assert_close(other, one)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-5, atol=1e-7)


def test_with_batch_norm_micro_batches_are_the_average_of_their_parts(
    architecture: Architecture, dataset: Dataset
) -> None:
    network, inputs = with_norm(architecture), inputs_of(dataset, PLAIN)
    whole, other = copy.deepcopy(network), copy.deepcopy(network)
    recipe = replace(PLAIN, micro_batch=4)
    loss = step_of(network, dataset, recipe)(inputs)
    losses = [by_hand(other, part, dataset, recipe) for part in inputs.micro_batches(4)]
    expected = torch.stack(losses).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    moved = weights(other) - 0.1 * torch.cat([w.grad.flatten() for w in other.parameters()])
    torch.testing.assert_close(weights(network), moved, rtol=1e-4, atol=1e-6)
    for (name, ours), theirs in zip(network.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)  # each part has moved the statistics
    step_of(whole, dataset, PLAIN)(inputs)
    assert (weights(whole) - weights(network)).abs().max() > 1e-4  # norms see other batches


def test_micro_batches_in_bfloat16_cast_the_weights_once_and_use_them_for_each(
    architecture: Architecture, dataset: Dataset
) -> None:
    network, inputs = with_norm(architecture), inputs_of(dataset, PLAIN)
    exact = copy.deepcopy(network)
    before = weights(network)
    step_of(network, dataset, replace(PLAIN, micro_batch=4, precision="bf16"))(inputs)
    step_of(exact, dataset, replace(PLAIN, micro_batch=4))(inputs)
    moved, expected = weights(network) - before, weights(exact) - before
    assert (moved - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize("micro", [None, 4])
def test_gradients_are_clipped_together_after_the_last_micro_batch(
    architecture: Architecture, dataset: Dataset, micro: int | None
) -> None:
    network, inputs = with_norm(architecture), inputs_of(dataset, PLAIN)
    free = copy.deepcopy(network)
    before = weights(network)
    step_of(free, dataset, replace(PLAIN, micro_batch=micro))(inputs)
    step_of(network, dataset, replace(PLAIN, micro_batch=micro, clip_norm=0.01))(inputs)
    moved, freely = weights(network) - before, weights(free) - before
    assert freely.norm() > 0.1 * 0.01 * 2
    assert moved.norm() == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert F.cosine_similarity(moved, freely, dim=0) == pytest.approx(1, abs=1e-4)


def test_a_step_uses_the_optimisers_current_rate(dataset: Dataset) -> None:
    moved = []
    for rate in (0.1, 0.05):
        network = without_norm()
        before, step = weights(network), step_of(network, dataset, PLAIN)
        set_learning_rate(step.optimizer, rate)
        step(inputs_of(dataset, PLAIN))
        moved.append(weights(network) - before)
    torch.testing.assert_close(moved[0], 2 * moved[1], rtol=1e-3, atol=1e-7)


def test_averages_move_towards_the_updated_weights(
    architecture: Architecture, dataset: Dataset
) -> None:
    network = with_norm(architecture)
    averages = EMA(network, 0.9)
    before = copy.deepcopy(averages.state_dict())
    step_of(network, dataset, PLAIN, averages)(inputs_of(dataset, PLAIN, averaging=0.25))
    now = network.state_dict()
    for name, average in averages.state_dict().items():
        torch.testing.assert_close(average, before[name] + 0.25 * (now[name] - before[name]))
    assert not torch.equal(now["stem.conv.weight"], before["stem.conv.weight"])


def test_a_step_begins_without_the_gradients_of_the_last(dataset: Dataset) -> None:
    network, inputs = without_norm(), inputs_of(dataset, PLAIN)
    step = step_of(network, dataset, PLAIN)
    before, gradients = weights(network), []
    for _ in range(2):
        set_learning_rate(step.optimizer, 1e-12)
        step(inputs)
        gradients.append(torch.cat([w.grad.flatten() for w in network.parameters()]))
    torch.testing.assert_close(weights(network), before)
    torch.testing.assert_close(*gradients)


def test_mixing_acts_by_the_strength_of_the_epoch(dataset: Dataset) -> None:
    recipe = replace(PLAIN, augmentation=Augmentation(mixup=0.5))
    inputs = inputs_of(dataset, recipe)
    losses = []
    for strength in (0.0, 0.5, 1.0):
        step = replace(step_of(without_norm(), dataset, recipe), strength=strength)
        losses.append(step(inputs).item())
    moved = {kind: inputs.draws[kind] for kind in ("crop", "flip")}
    unmixed = by_hand(without_norm(), replace(inputs, draws=moved), dataset, PLAIN)
    assert losses[0] == pytest.approx(unmixed.item(), rel=1e-5)
    assert len({round(loss, 4) for loss in losses}) == 3


def test_input_tensors_have_a_fixed_order() -> None:
    one, other = torch.zeros(2), torch.ones(2)
    images, labels, averaging = torch.zeros(2, 3, 4, 4), torch.zeros(2), torch.zeros(())
    forth = StepInputs(images, labels, {"crop": one, "flip": other}, averaging)
    back = StepInputs(images, labels, {"flip": other, "crop": one}, averaging)
    assert [id(t) for t in forth.tensors()] == [id(t) for t in back.tensors()]
