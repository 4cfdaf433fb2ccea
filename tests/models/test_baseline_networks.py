"""Every baseline and every kind of block, built: counted costs, and training."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import ACTIVATIONS, BLOCK_FIELDS, Architecture, Stage
from scalesearch.architectures.totals import Cost
from scalesearch.models.blocks import BLOCKS as BUILDERS
from scalesearch.models.blocks import BasicBlock, BottleneckBlock
from scalesearch.models.fvcore_count import fvcore_macs
from scalesearch.models.initialisation import initialise
from scalesearch.models.layers import DropConnect, SqueezeExcitation
from scalesearch.models.network import Network, build_model
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

each_baseline = pytest.mark.parametrize("name", BASELINES)
each_block = pytest.mark.parametrize("block", BLOCK_FIELDS)


def meta(architecture: Architecture, **options: float) -> Network:
    with torch.device("meta"):
        return build_model(architecture, **options)


def counted(architecture: Architecture) -> Cost:
    """What torch's counter and the outputs of all layers say of the network as built."""
    network = meta(architecture).eval()
    outputs: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda module, _, output: outputs.append(output.numel()))
    side = architecture.resolution
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, architecture.in_channels, side, side, device="meta"))
    return Cost(
        macs=counter.get_total_flops() // 2,
        params=sum(parameter.numel() for parameter in network.parameters()),
        activations=sum(outputs),
    )


def stage_of(block: str, **changes: object) -> Stage:
    stride = 1 if block == "dense" else 2
    fields = {"repeats": 2, "width": 16, "stride": stride, "squeeze": 0, "block": block}
    if "expansion" in BLOCK_FIELDS[block]:
        fields["expansion"] = 2
    return Stage(**fields | changes)


def small(block: str, **changes: object) -> Architecture:
    return Architecture(
        stem=8, stages=(stage_of(block, **changes),), head=24, resolution=16, num_classes=4
    )


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    block = draw(st.sampled_from(sorted(BLOCK_FIELDS)))
    used = BLOCK_FIELDS[block]
    return Stage(
        repeats=draw(st.integers(1, 3)),
        width=draw(st.integers(1, 40)),
        stride=1 if block == "dense" else draw(st.integers(1, 3)),
        kernel=draw(st.sampled_from([1, 3, 5])),
        expansion=draw(st.integers(1, 4)) if "expansion" in used else 1,
        squeeze=draw(st.sampled_from([0, 1, 4, 16])) if "squeeze" in used else 0,
        block=block,
        activation=draw(st.sampled_from(["", *ACTIVATIONS])),
    )


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    head = draw(st.integers(0, 40))
    return Architecture(
        stem=draw(st.integers(1, 30)),
        stages=tuple(draw(st.lists(stages(), min_size=1, max_size=4))),
        head=head,
        resolution=draw(st.integers(1, 50)),
        stem_stride=draw(st.integers(1, 2)),
        stem_pool=draw(st.integers(1, 2)),
        head_pooled=draw(st.booleans()) if head else False,
        in_channels=draw(st.integers(1, 4)),
        num_classes=draw(st.integers(1, 12)),
    )


def test_every_kind_of_block_can_be_built() -> None:
    assert set(BUILDERS) == set(BLOCK_FIELDS)


@each_baseline
def test_a_built_baseline_has_the_cost_of_the_closed_form(name: str) -> None:
    assert counted(baseline(name)) == cost(baseline(name))


@each_baseline
def test_fvcore_counts_the_same(name: str) -> None:
    network = baseline(name, width=0.5, resolution=40, num_classes=10)
    assert fvcore_macs(network) == cost(network).macs


@each_baseline
@settings(max_examples=3, derandomize=True)
@given(
    depth=st.floats(0.5, 1.5),
    width=st.floats(0.25, 1.5),
    resolution=st.floats(0.15, 1.2),
    rounding=st.sampled_from(sorted(ROUNDINGS)),
)
def test_a_built_scaled_baseline_has_the_cost_of_the_closed_form(
    name: str, depth: float, width: float, resolution: float, rounding: str
) -> None:
    by = Multipliers(depth, width, resolution)
    network = scale(baseline(name), by, ROUNDINGS[rounding])
    assert counted(network) == cost(network)


# So few channels that a quarter of them is none, where the gate still needs some
NARROW = Architecture(
    stem=1, stages=(Stage(1, 1, squeeze=4, block="bneck"),), head=0, resolution=1, num_classes=1
)


@settings(max_examples=60, deadline=None)
@example(NARROW)
@given(architectures())
def test_any_mixture_of_blocks_has_the_cost_of_the_closed_form(architecture: Architecture) -> None:
    assert counted(architecture) == cost(architecture)


@each_block
def test_one_step_of_training_lowers_the_loss(block: str) -> None:
    torch.manual_seed(0)
    network = build_model(small(block, activation="relu"), norm_momentum=0.1)
    initialise(network, torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in network.named_parameters()}
    images_BCHW = torch.rand(16, 3, 16, 16)
    labels_B = torch.arange(16) % 4
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(2):
        loss = F.cross_entropy(network(images_BCHW), labels_B)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(not torch.equal(value, before[name]) for name, value in network.named_parameters())


@each_baseline
@pytest.mark.parametrize("rule", ["tf", "fan_in"])
def test_every_layer_of_a_proxy_has_a_rule_of_initialisation(name: str, rule: str) -> None:
    network = build_model(baseline(name, width=0.25, depth=0.3, resolution=32, num_classes=10))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(torch.nan)
    initialise(network, torch.Generator().manual_seed(0), rule)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    logits_BK = network.eval()(torch.rand(2, 3, 32, 32))
    assert logits_BK.shape == (2, 10)
    assert logits_BK.isfinite().all()


@each_block
@pytest.mark.parametrize("resolution", [15, 16])
def test_sizes_round_up_in_every_block(block: str, resolution: int) -> None:
    network = meta(small(block))
    image_BCHW = torch.empty(1, 3, resolution, resolution, device="meta")
    size = 8 if block == "dense" else 4  # appends to its input
    assert network.stages(network.stem(image_BCHW)).shape[-2:] == (size, size)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_residual_network_adds_its_shortcut_before_it_activates(block: str) -> None:
    network = build_model(small(block, stride=1, width=8, repeats=1, activation="relu")).eval()
    (body,) = (m for m in network.modules() if isinstance(m, BasicBlock | BottleneckBlock))
    nn.init.zeros_(body.branch[-1].conv.weight)
    x_BCHW = torch.randn(2, 8, 4, 4)
    assert isinstance(body.shortcut, nn.Identity)
    assert torch.equal(body(x_BCHW), x_BCHW.relu())


@pytest.mark.parametrize(
    ("changes", "fits"), [({"width": 8, "stride": 1}, True), ({"width": 8}, False), ({}, False)]
)
def test_a_shortcut_is_a_convolution_only_where_shapes_differ(
    changes: dict[str, int], fits: bool
) -> None:
    network = meta(small("basic", repeats=1, **changes))
    (body,) = (module for module in network.modules() if isinstance(module, BasicBlock))
    assert isinstance(body.shortcut, nn.Identity) is fits


def test_a_residual_network_may_drop_the_branch_of_any_block() -> None:
    network = meta(baseline("resnet18"), drop_connect=0.2)
    rates = [module.rate for module in network.modules() if isinstance(module, DropConnect)]
    assert rates == pytest.approx([0.2 * index / 8 for index in range(8)])


def test_a_bottleneck_strides_in_its_full_convolution() -> None:
    network = meta(small("bottleneck", repeats=1))
    (body,) = (module for module in network.modules() if isinstance(module, BottleneckBlock))
    assert [layer.conv.stride[0] for layer in body.branch] == [1, 2, 1]
    assert [layer.conv.kernel_size[0] for layer in body.branch] == [1, 3, 1]


def test_mobilenet_v3_squeezes_to_multiples_of_eight_with_its_own_gates() -> None:
    network = meta(baseline("mobilenet_v3_large"))
    gates = [module for module in network.modules() if isinstance(module, SqueezeExcitation)]
    squeezed = [gate.reduce.out_channels for gate in gates]
    assert squeezed == [24, 32, 32, 120, 168, 168, 240, 240]  # arXiv:1905.02244 as in torchvision
    assert all(isinstance(gate.activation, nn.ReLU) for gate in gates)


def test_the_gate_of_a_bneck_closes_entirely_and_that_of_an_mbconv_does_not() -> None:
    closed = {}
    for block in ("bneck", "mbconv"):
        network = build_model(small(block, repeats=1, squeeze=4))
        (gate,) = (module for module in network.modules() if isinstance(module, SqueezeExcitation))
        nn.init.zeros_(gate.expand.weight)
        nn.init.constant_(gate.expand.bias, -9.0)
        closed[block] = bool((gate(torch.ones(1, 16, 2, 2)) == 0).all())
    assert closed == {"bneck": True, "mbconv": False}


def test_a_stage_may_have_an_activation_of_its_own() -> None:
    network = meta(baseline("mobilenet_v3_large"))
    kinds = [
        {type(module) for module in stage.modules()} & {nn.ReLU, nn.Hardswish}
        for stage in network.stages
    ]
    assert kinds[0] == {nn.ReLU}
    assert kinds[3] == {nn.ReLU}
    assert kinds[4] == {nn.Hardswish}
    assert kinds[-1] == {nn.Hardswish}


def test_the_head_comes_before_the_pool_or_after_it_or_is_absent() -> None:
    assert isinstance(meta(baseline("mobilenet_v2")).head.conv, nn.Conv2d)
    assert isinstance(meta(baseline("mobilenet_v3_large")).head.linear, nn.Linear)
    assert isinstance(meta(baseline("resnet18")).head, nn.Identity)
