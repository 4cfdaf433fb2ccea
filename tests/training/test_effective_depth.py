"""The shortest path: counted by hand, and found in the built network."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import BLOCK_FIELDS, Architecture, Stage
from scalesearch.errors import ArchitectureError
from scalesearch.models.blocks import Concatenate
from scalesearch.models.layers import DropConnect, SqueezeExcitation
from scalesearch.models.network import build_model
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS
from scalesearch.training.lr_rules import effective_depth


class Length(int):
    """Walks through a network in place of images: how far it has come on the shortest path."""

    def __add__(self, other: "Length") -> "Length":
        return Length(min(int(self), int(other)) + 1)

    def mean(self, axes: object) -> "Length":
        return self


def walked(architecture: Architecture) -> int:
    """The shortest path as the network's own ``forward`` takes it."""
    with torch.device("meta"):
        network = build_model(architecture)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.forward = lambda length: Length(int(length) + 1)
        elif isinstance(module, Concatenate):
            module.forward = Length.__add__
        elif isinstance(module, SqueezeExcitation | DropConnect) or not list(module.children()):
            module.forward = lambda length: length
    return int(network(Length(0)))


def of(*stages: Stage, **options: object) -> Architecture:
    return Architecture(**{"stem": 8, "stages": stages, "head": 0, "resolution": 16} | options)


def test_b0_has_the_depth_counted_by_hand() -> None:
    parts = [
        1,  # stem
        2,  # stage 1: depthwise and project, from 32 to 16 channels
        3 + 1,  # stages 2 and 3: expand, depthwise, project; then one addition
        3 + 1,
        3 + 2,  # stages 4 and 5: two additions
        3 + 2,
        3 + 3,  # stage 6
        3,  # stage 7: one block, from 192 to 320 channels
        1,  # head
        1,  # classifier
    ]
    assert effective_depth(baseline("efficientnet_b0")) == sum(parts) == 32


def test_resnet50_counted_by_hand() -> None:
    """Stem, four stages whose first shortcut is a convolution, classifier: 1 + (4 + 5 + 7 + 4) + 1.

    The first blocks count two, a convolution and an addition, the others one.
    """
    assert effective_depth(baseline("resnet50")) == 22


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("head_pooled", [False, True])
def test_the_depth_is_the_shortest_path_of_the_built_network(name: str, head_pooled: bool) -> None:
    network = baseline(name, width=0.5)
    if network.head:
        network = replace(network, head_pooled=head_pooled)
    assert effective_depth(network) == walked(network)


def variants(block: str) -> Iterator[Stage]:
    """Two blocks of a kind with all its options, that keep the shape of what comes in or not."""
    expansions = (1, 2) if "expansion" in BLOCK_FIELDS[block] else (1,)
    squeezes = (0, 4) if "squeeze" in BLOCK_FIELDS[block] else (0,)
    for width, stride, expansion, squeeze in product(
        (8, 16), (1,) if block == "dense" else (1, 2), expansions, squeezes
    ):
        yield Stage(2, width, stride, 3, expansion, squeeze, block)


@pytest.mark.parametrize("block", BLOCK_FIELDS)
def test_the_depth_is_the_shortest_path_for_every_block(block: str) -> None:
    for stage in variants(block):
        assert effective_depth(of(stage)) == walked(of(stage)), stage


@pytest.mark.parametrize("block", ["mbconv", "fused_mbconv", "bneck", "basic", "bottleneck"])
def test_each_further_residual_block_adds_one(block: str) -> None:
    lengths = [
        effective_depth(of(Stage(repeats, 16, 2, squeeze=0, block=block))) for repeats in (1, 2, 7)
    ]
    assert [length - lengths[0] for length in lengths] == [0, 1, 6]


@pytest.mark.parametrize(("block", "convolutions"), [("separable", 2), ("conv", 1)])
def test_a_block_without_a_shortcut_adds_its_convolutions(block: str, convolutions: int) -> None:
    one, two = (
        effective_depth(of(Stage(repeats, 16, squeeze=0, block=block))) for repeats in (1, 2)
    )
    assert two - one == convolutions


@pytest.mark.parametrize("name", BASELINES)
def test_scaled_width_and_resolution_do_not_change_the_depth(name: str) -> None:
    own = baseline(name)
    larger = scale(own, Multipliers(width=1.5, resolution=1.3), ROUNDINGS["official"])
    assert effective_depth(larger) == effective_depth(own)


def test_widths_that_become_equal_give_a_block_its_shortcut() -> None:
    """A quarter of B0's 32 and 16 channels is 8 and 8: stage 1 adds its branch, one for two."""
    quarter = baseline("efficientnet_b0", width=0.25)
    assert (quarter.stem, quarter.stages[0].width) == (8, 8)
    assert effective_depth(quarter) < effective_depth(baseline("efficientnet_b0"))


def test_a_custom_model_is_refused() -> None:
    with refused(ArchitectureError):
        effective_depth(CustomModel(factory="nets.plain:cnn"))
