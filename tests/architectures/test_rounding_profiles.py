"""The laws of rounding, on B0, for every profile and for mixtures of them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.published import PUBLISHED_MODELS
from scalesearch.scaling.rounding import ROUNDINGS, rounding_from

B0 = efficientnet_b0()
MIXED = {
    "even by 4": {"profile": "even", "divisor": 4, "resolution_multiple": 8},
    "lite by 16": {"profile": "lite", "divisor": 16, "minimum": 24},
    "capped torchvision": {"profile": "torchvision", "resolution_cap": 300, "floor": 0.0},
}
PROFILES = {**ROUNDINGS, **{name: rounding_from(spec) for name, spec in MIXED.items()}}
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
multipliers = st.floats(0.05, 5)


def numbers(network):
    return (*network.repeats, *network.widths, network.resolution)


@each_profile
def test_multipliers_of_one_change_nothing(profile):
    assert scale(B0, Multipliers(), profile) == B0


@each_profile
@given(multipliers)
def test_scaled_channels_are_multiples_of_the_divisor_above_minimum_and_floor(profile, width):
    network = scale(B0, Multipliers(width=width), profile)
    free = list(zip(network.widths, B0.widths, strict=True))
    free = free[int(profile.fixed_stem) : len(free) - int(profile.fixed_head)]
    for channels, own in free:
        if channels == own:  # growth takes no channel of the baseline away, shrinking adds none
            continue
        assert channels % profile.divisor == 0
        assert channels >= profile.minimum
        if own != B0.head or not profile.head_per_last:
            assert channels >= profile.floor * own * width * (1 - 1e-9)


@each_profile
@given(st.tuples(*[st.tuples(multipliers, multipliers).map(sorted)] * 3))
def test_a_higher_multiplier_lowers_no_setting_and_no_cost(profile, bounds):
    low, high = (scale(B0, Multipliers(*by), profile) for by in zip(*bounds, strict=True))
    assert all(a <= b for a, b in zip(numbers(low), numbers(high), strict=True))
    less, more = cost(low), cost(high)
    assert less.macs <= more.macs
    assert less.params <= more.params
    assert less.activations <= more.activations


@each_profile
@pytest.mark.parametrize("noise", [-4e-16, 0.0, 4e-16])
def test_float_noise_at_a_whole_multiplier_changes_nothing(profile, noise):
    exact = scale(B0, Multipliers(2, 2, 2), profile)
    noisy = 2 * (1 + noise)
    assert scale(B0, Multipliers(noisy, noisy, noisy), profile) == exact
    assert (2**0.5) ** 2 > 2  # what such noise comes from


@each_profile
def test_pixels_keep_to_the_multiple_and_the_cap(profile):
    for percent in range(30, 400, 7):
        size = scale(B0, Multipliers(resolution=percent / 100), profile).resolution
        assert size % profile.resolution_multiple == 0
        assert size <= (profile.resolution_cap or 10**9)


@each_profile
@settings(max_examples=30)
@given(
    st.sampled_from(sorted(BASELINES)),
    st.tuples(*[st.tuples(multipliers, multipliers).map(sorted)] * 3),
)
def test_monotony_and_identity_hold_for_every_baseline(profile, name, bounds):
    own = baseline(name)
    assert scale(own, Multipliers(), profile) == own
    low, high = (scale(own, Multipliers(*by), profile) for by in zip(*bounds, strict=True))
    assert all(a <= b for a, b in zip(numbers(low), numbers(high), strict=True))
    assert cost(low).macs <= cost(high).macs


@pytest.mark.parametrize("width", [1.03, 1.1, 1.3, 1.7])
def test_torchvisions_head_is_four_times_the_last_stage(width):
    by = Multipliers(width=width)
    network = scale(B0, by, ROUNDINGS["torchvision"])
    assert network.head == 4 * network.stages[-1].width
    assert network.widths[:-1] == scale(B0, by, ROUNDINGS["official"]).widths[:-1]


def test_torchvision_and_official_agree_on_the_published_heads_only():
    heads = {
        name: [scale(B0, model.multipliers, ROUNDINGS[p]).head for p in ("torchvision", "official")]
        for name, model in PUBLISHED_MODELS.items()
    }
    assert all(one == other for one, other in heads.values())
    between = Multipliers(width=1.03)
    assert scale(B0, between, ROUNDINGS["torchvision"]).head == 1312
    assert scale(B0, between, ROUNDINGS["official"]).head == 1320


def test_lite_keeps_stem_head_and_the_ends_depth():
    wide = scale(B0, Multipliers(1.8, 1.4), ROUNDINGS["lite"])  # Lite4's multipliers
    assert (wide.stem, wide.head) == (32, 1280)
    assert wide.repeats == (1, 4, 4, 6, 6, 8, 1)
    assert wide.widths[1:-1] == (24, 32, 56, 112, 160, 272, 448)


def test_profiles_that_fix_all_stages_still_scale_width():
    frozen = replace(ROUNDINGS["even"], fixed_stages=tuple(range(7)))
    assert scale(B0, Multipliers(3.0, 2.0), frozen).repeats == B0.repeats
