"""Initial weights: TensorFlow's distributions from one generator, without side effects."""

import math

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.stages import BLOCK_FIELDS, Architecture, Stage
from scalesearch.models.blocks import ResidualBlock, ShortcutBlock
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import Network, build_model


def initialised(seed: int = 0, **options: float) -> Network:
    network = build_model(efficientnet_b0(width=0.5, num_classes=10, resolution=32, **options))
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


def test_only_the_generator_decides_the_weights() -> None:
    torch.manual_seed(1)
    once = initialised(seed=3).state_dict()
    torch.manual_seed(2)
    again = initialised(seed=3).state_dict()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["stem.conv.weight"], initialised(seed=4).stem.conv.weight)


def test_the_layout_in_memory_changes_no_weight() -> None:
    turned = build_model(efficientnet_b0(width=0.5, num_classes=10, resolution=32))
    turned = turned.to(memory_format=torch.channels_last)
    initialise(turned, torch.Generator().manual_seed(0))
    assert torch.equal(
        turned.stages[1][0].expand.conv.weight, initialised().stages[1][0].expand.conv.weight
    )
    assert torch.equal(turned.stem.conv.weight, initialised().stem.conv.weight)


def test_the_global_generator_stays_unchanged() -> None:
    network = build_model(efficientnet_b0(width=0.25, num_classes=10, resolution=32))
    before = torch.get_rng_state()
    initialise(network, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_a_layer_without_a_rule_is_refused() -> None:
    with refused(TypeError):
        initialise(nn.Sequential(nn.LayerNorm(4)), torch.Generator())


def branched(block: str, residual: str, expansion: int = 2) -> Network:
    """Two stages of three blocks, of which all but the first (in ResNet's, all) have a branch."""
    options = {"squeeze": 4 if "squeeze" in BLOCK_FIELDS[block] else 0, "block": block}
    if "expansion" in BLOCK_FIELDS[block]:
        options["expansion"] = expansion
    stages = tuple(Stage(3, width, 2, **options) for width in (8, 16))
    architecture = Architecture(stem=8, stages=stages, head=0, resolution=16, num_classes=4)
    network = build_model(architecture)
    initialise(network, torch.Generator().manual_seed(0), "tf", residual)
    return network


residual_blocks = pytest.mark.parametrize(
    ("block", "expansion"),
    [
        ("mbconv", 1),
        ("mbconv", 2),
        ("fused_mbconv", 1),
        ("fused_mbconv", 2),
        ("bneck", 2),
        ("basic", 1),
        ("bottleneck", 2),
    ],
)


@residual_blocks
def test_zero_makes_every_residual_block_the_identity(block: str, expansion: int) -> None:
    network = branched(block, "zero", expansion).train()
    images_BCHW = torch.rand(4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    later = [block for stage in network.stages for block in stage[1:]]
    widths = [8, 8, 16, 16]
    for one, width in zip(later, widths, strict=True):
        x_BCHW = images_BCHW.repeat(1, width // 8, 1, 1)
        expected = one.activation(x_BCHW) if isinstance(one, ShortcutBlock) else x_BCHW
        assert torch.equal(one(x_BCHW), expected)


@residual_blocks
def test_zero_still_learns(block: str, expansion: int) -> None:
    """The last norm's weight has a gradient at once, and what stands before it a step later."""
    network = branched(block, "zero", expansion).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    images_BCHW = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images_BCHW), torch.arange(8) % 4).backward()
        optimizer.step()
    assert all(
        parameter.grad.any()
        for name, parameter in network.named_parameters()
        if name.endswith("conv.weight")
    )


@residual_blocks
def test_scaled_weighs_each_branch_by_the_root_of_their_number(block: str, expansion: int) -> None:
    network = branched(block, "scaled", expansion)
    branches = 6 if block in ("basic", "bottleneck") else 4
    weights = [module.weight for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    changed = [weight for weight in weights if not (weight == 1).all()]
    assert len(changed) == branches
    assert all(torch.allclose(weight, torch.tensor(branches**-0.5)) for weight in changed)


@residual_blocks
def test_scaled_weighs_only_the_added_branch(block: str, expansion: int) -> None:
    """A norm further up would be undone by the next one."""
    if (block, expansion) == ("fused_mbconv", 1):
        pytest.skip("what it adds is activated, and so not in proportion to its norm")
    images_BCHW = torch.rand(4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    added = {}
    for residual in ("tf", "scaled"):
        later = branched(block, residual, expansion).train().stages[0][1]
        later.activation = nn.Identity()
        added[residual] = later(images_BCHW) - images_BCHW
    branches = 6 if block in ("basic", "bottleneck") else 4
    torch.testing.assert_close(added["scaled"], added["tf"] * branches**-0.5)


@pytest.mark.parametrize("name", BASELINES)
def test_the_residual_rule_changes_nothing_but_those_norms(name: str) -> None:
    plain, zero = (build_model(baseline(name, width=0.25, resolution=32)) for _ in range(2))
    initialise(plain, torch.Generator().manual_seed(0))
    initialise(zero, torch.Generator().manual_seed(0), residual="zero")
    ends = {
        id(block.last_norm.weight)
        for block in zero.modules()
        if isinstance(block, ResidualBlock | ShortcutBlock) and block.last_norm
    }
    for one, other in zip(plain.parameters(), zero.parameters(), strict=True):
        assert torch.equal(torch.zeros_like(one) if id(other) in ends else one, other)


def test_a_network_without_branches_has_nothing_to_weigh() -> None:
    network = build_model(baseline("mobilenet_v1", width=0.25, resolution=32))
    for residual in ("zero", "scaled"):
        initialise(network, torch.Generator().manual_seed(0), residual=residual)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert all((norm.weight == 1).all() for norm in norms)
