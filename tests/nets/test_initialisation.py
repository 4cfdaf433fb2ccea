"""The first weights: TensorFlow's distributions, one generator, no trace left elsewhere."""

import math

import pytest
import torch
from torch import nn

from scalesearch.architectures import efficientnet_b0
from scalesearch.nets import Network, build, initialise


def initialised(seed: int = 0, **options: float) -> Network:
    network = build(efficientnet_b0(width=0.5, num_classes=10, resolution=32, **options))
    initialise(network, torch.Generator().manual_seed(seed))
    return network


def test_convolutions_have_the_deviation_of_their_fan_out() -> None:
    block = initialised().stages[5][1]  # 96 channels, 576 inside, 5x5
    depthwise, project = block.depthwise.conv.weight, block.project.conv.weight
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.05)
    assert project.std().item() == pytest.approx(math.sqrt(2 / 96), rel=0.05)


def test_the_classifier_is_uniform_in_the_root_of_its_classes() -> None:
    weight = initialised().classifier.weight
    bound = 1 / math.sqrt(10)
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_biases_are_zero_and_normalisation_is_the_identity() -> None:
    for module in initialised().modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.running_var == 1).all()
            assert (module.running_mean == 0).all()
        if getattr(module, "bias", None) is not None:
            assert (module.bias == 0).all()


def test_the_generator_alone_decides() -> None:
    torch.manual_seed(1)
    once = initialised(seed=3).state_dict()
    torch.manual_seed(2)
    again = initialised(seed=3).state_dict()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["stem.conv.weight"], initialised(seed=4).stem.conv.weight)


def test_the_layout_in_memory_changes_no_weight() -> None:
    turned = build(efficientnet_b0(width=0.5, num_classes=10, resolution=32))
    turned = turned.to(memory_format=torch.channels_last)
    initialise(turned, torch.Generator().manual_seed(0))
    assert torch.equal(
        turned.stages[1][0].expand.conv.weight, initialised().stages[1][0].expand.conv.weight
    )
    assert torch.equal(turned.stem.conv.weight, initialised().stem.conv.weight)


def test_the_global_generator_is_left_alone() -> None:
    network = build(efficientnet_b0(width=0.25, num_classes=10, resolution=32))
    before = torch.get_rng_state()
    initialise(network, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="need a rule to initialise LayerNorm"):
        initialise(nn.Sequential(nn.LayerNorm(4)), torch.Generator())
