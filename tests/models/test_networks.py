"""Built networks: counted costs, their description, and their outputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.models.blocks import MBConv
from scalesearch.models.layers import DropConnect, SqueezeExcitation
from scalesearch.models.network import Network, build_model
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

# arXiv:1905.11946 and the official code's efficientnet_params: width, depth, resolution
PUBLISHED = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
PARAMETERS = {"b0": 5288548, "b1": 7794184, "b2": 9109994, "b4": 19341616, "b7": 66347960}


def meta(architecture: Architecture, **options: float) -> Network:
    with torch.device("meta"):
        return build_model(architecture, **options)


def published(name: str) -> Architecture:
    width, depth, resolution = PUBLISHED[name]
    return efficientnet_b0(width=width, depth=depth, resolution=resolution)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def one_stage(**stage: object) -> Architecture:
    return Architecture(
        stem=8, stages=(Stage(**{"repeats": 1, "width": 8} | stage),), head=16, resolution=16
    )


def drop_rates(network: Network) -> list[float]:
    return [module.rate for module in network.modules() if isinstance(module, DropConnect)]


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_parameters_equal_the_reference(name: str, expected: int) -> None:
    assert parameters(meta(published(name))) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_forward_works_at_the_published_resolutions(name: str) -> None:
    network = meta(published(name)).eval()
    pixels = network.architecture.resolution
    assert network(torch.empty(2, 3, pixels, pixels, device="meta")).shape == (2, 1000)


def test_b0_computes_logits() -> None:
    network = build_model(efficientnet_b0()).eval()
    with torch.inference_mode():
        logits_BK = network(torch.rand(1, 3, 224, 224))
    assert logits_BK.shape == (1, 1000)
    assert logits_BK.isfinite().all()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    depth=st.floats(0.5, 2),
    width=st.floats(0.25, 1.5),
    pixels=st.integers(16, 97),
    stem_stride=st.sampled_from((1, 2)),
    rounding=st.sampled_from(sorted(ROUNDINGS)),
    channels=st.integers(1, 4),
)
def test_a_built_network_has_the_cost_of_the_closed_form(
    depth: float, width: float, pixels: int, stem_stride: int, rounding: str, channels: int
) -> None:
    baseline = efficientnet_b0(
        resolution=pixels, stem_stride=stem_stride, in_channels=channels, num_classes=10
    )
    architecture = scale(baseline, Multipliers(depth, width), ROUNDINGS[rounding])
    network = meta(architecture).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.empty(1, channels, pixels, pixels, device="meta"))
    expected = cost(architecture)
    assert parameters(network) == expected.params
    assert counter.get_total_flops() == 2 * expected.macs


@pytest.mark.parametrize("stage", [{"squeeze": 0}, {"squeeze": 16}, {"expansion": 1}])
def test_unusual_stages_have_the_cost_of_the_closed_form(stage: dict[str, int]) -> None:
    architecture = one_stage(**{"expansion": 3, "repeats": 2, "width": 12} | stage)
    assert parameters(meta(architecture)) == cost(architecture).params


def test_every_stride_rounds_sizes_up() -> None:
    network = meta(efficientnet_b0(resolution=33, num_classes=10))
    sizes = []
    for stage in network.stages:
        stage.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    network(torch.empty(1, 3, 33, 33, device="meta"))
    assert sizes == [17, 9, 5, 3, 3, 2, 2]


def test_the_squeeze_is_relative_to_the_blocks_input() -> None:
    (gate,) = (
        module
        for module in meta(one_stage(expansion=6, squeeze=4)).modules()
        if isinstance(module, SqueezeExcitation)
    )
    assert gate.reduce.out_channels == 2
    assert gate.expand.out_channels == 48


def test_a_gate_lies_between_zero_and_one() -> None:
    gate = SqueezeExcitation(4, 1, nn.SiLU())
    x_BCHW = torch.rand(2, 4, 3, 3) + 0.1
    ratio_BCHW = gate(x_BCHW) / x_BCHW
    assert ((ratio_BCHW > 0) & (ratio_BCHW < 1)).all()
    assert torch.allclose(ratio_BCHW, ratio_BCHW[:, :, :1, :1].expand_as(ratio_BCHW))


@pytest.mark.parametrize(
    ("stage", "residual"), [({}, True), ({"stride": 2}, False), ({"width": 16}, False)]
)
def test_only_blocks_of_one_shape_add_their_input(stage: dict[str, int], residual: bool) -> None:
    (block,) = (
        module for module in meta(one_stage(**stage)).modules() if isinstance(module, MBConv)
    )
    assert block.residual is residual
    assert any(isinstance(module, DropConnect) for module in block.modules()) is residual


def test_the_drop_rate_rises_with_the_block_and_only_residual_ones_drop() -> None:
    # B0: 16 blocks; those that begin a stage change width or stride
    rates = drop_rates(meta(efficientnet_b0(), drop_connect=0.2))
    assert rates == pytest.approx([0.2 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])


def test_drop_connect_takes_whole_samples_and_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    dropped_BCHW = DropConnect(0.25).train()(torch.ones(4000, 2, 1, 1))
    assert dropped_BCHW.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(dropped_BCHW[:, 0], dropped_BCHW[:, 1])
    assert dropped_BCHW.mean().item() == pytest.approx(1, abs=0.03)


def test_evaluation_drops_nothing() -> None:
    x_BCHW = torch.rand(8, 2, 3, 3)
    assert DropConnect(0.9).eval()(x_BCHW) is x_BCHW


def test_regularisation_and_normalisation_reach_their_layers() -> None:
    network = meta(one_stage(), dropout=0.3, norm_eps=1e-4, norm_momentum=0.2)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert network.dropout.p == 0.3
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-4, 0.2)}


def test_another_activation_is_used_everywhere() -> None:
    architecture = Architecture(
        stem=8, stages=(Stage(2, 8),), head=16, resolution=16, activation="relu6"
    )
    kinds = {type(module) for module in meta(architecture).modules()}
    assert nn.ReLU6 in kinds
    assert nn.SiLU not in kinds
