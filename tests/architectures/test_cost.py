import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.architectures.totals import Cost
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/efficientnet.json").read_text())["models"]

stages = st.builds(
    Stage,
    repeats=st.integers(1, 4),
    width=st.integers(1, 64),
    stride=st.integers(1, 2),
    kernel=st.sampled_from([3, 5, 7]),
    expansion=st.integers(1, 6),
    squeeze=st.sampled_from([0, 1, 4, 16]),
)
architectures = st.builds(
    Architecture,
    stem=st.integers(1, 48),
    stages=st.lists(stages, min_size=1, max_size=4).map(tuple),
    head=st.integers(1, 96),
    resolution=st.integers(1, 80),
    stem_stride=st.integers(1, 2),
    in_channels=st.integers(1, 4),
    num_classes=st.integers(1, 20),
)


def counted_one_by_one(architecture):
    """Every convolution and linear layer, written out: the slow way to the same numbers."""
    layers = []  # (inputs, outputs, kernel, groups, pixels per side, bias, norm)

    def conv(inputs, outputs, side, kernel=1, groups=1, bias=False):
        layers.append((inputs, outputs, kernel, groups, side, bias, not bias))

    side = -(-architecture.resolution // architecture.stem_stride)
    before = architecture.stem
    conv(architecture.in_channels, before, side, architecture.stem_kernel)
    for stage in architecture.stages:
        for index in range(stage.repeats):
            inner = before * stage.expansion
            if stage.expansion > 1:
                conv(before, inner, side)
            side = -(-side // stage.stride) if index == 0 else side
            conv(inner, inner, side, stage.kernel, groups=inner)
            if stage.squeeze:
                squeezed = max(1, before // stage.squeeze)
                conv(inner, squeezed, 1, bias=True)
                conv(squeezed, inner, 1, bias=True)
            conv(inner, stage.width, side)
            before = stage.width
    conv(before, architecture.head, side)
    layers.append((architecture.head, architecture.num_classes, 1, 1, 1, True, False))
    return Cost(
        macs=sum(i // g * o * k * k * s * s for i, o, k, g, s, _, _ in layers),
        params=sum(i // g * o * k * k + o * (b + 2 * n) for i, o, k, g, _, b, n in layers),
        activations=sum(o * s * s for _, o, _, _, s, _, _ in layers),
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_published_networks_cost_exactly_what_was_counted_on_them(name):
    golden = GOLDEN[name]
    network = scale(
        efficientnet_b0(),
        Multipliers(golden["depth"], golden["width"], golden["resolution"] / 224),
        ROUNDINGS["official"],
    )
    assert network.resolution == golden["resolution"]
    assert cost(network) == Cost(golden["macs"], golden["params"], golden["activations"])


def test_b0_costs_what_the_paper_rounds_to_0_39_billion():
    assert cost(efficientnet_b0()) == Cost(385_814_752, 5_288_548, 6_748_036)


@given(architectures)
def test_the_closed_form_is_the_sum_over_all_layers(architecture):
    assert cost(architecture) == counted_one_by_one(architecture)


@given(architectures)
def test_costs_are_whole_numbers(architecture):
    spent = cost(architecture)
    assert all(type(count) is int for count in (spent.macs, spent.params, spent.activations))


def test_costs_add():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)


@given(
    architectures,
    st.sampled_from(sorted(ROUNDINGS)),
    st.sampled_from(["depth", "width", "resolution"]),
    st.floats(0.2, 3),
    st.floats(0.2, 3),
)
def test_growing_a_multiplier_never_lowers_the_cost(baseline, profile, axis, one, other):
    low, high = (
        cost(scale(baseline, Multipliers(**{axis: by}), ROUNDINGS[profile]))
        for by in sorted((one, other))
    )
    assert low.macs <= high.macs
    assert low.params <= high.params
    assert low.activations <= high.activations


@given(architectures, st.integers(1, 50))
def test_another_class_costs_one_row_of_the_classifier(architecture, more):
    classes = architecture.num_classes
    grown = cost(replace(architecture, num_classes=classes + more))
    row = Cost(architecture.head, architecture.head + 1, 1)
    assert grown == sum([row] * more, cost(architecture))


@given(architectures)
def test_resolution_costs_no_parameters(architecture):
    larger = replace(architecture, resolution=2 * architecture.resolution)
    assert cost(larger).params == cost(architecture).params


def test_thirty_three_pixels_at_stride_thirty_two_nearly_double_the_last_stages():
    at_32, at_33 = (cost(efficientnet_b0(resolution=pixels)).macs for pixels in (32, 33))
    assert at_33 > 1.9 * at_32
