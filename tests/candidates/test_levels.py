import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.scaled import scale, scaled_widths
from scalesearch.candidates.grid import depth_levels, resolution_levels, width_levels
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS, Rounding

QUARTER = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
each_profile = pytest.mark.parametrize("profile", ROUNDINGS.values(), ids=ROUNDINGS)


@each_profile
def test_no_setting_appears_twice(profile):
    for levels in (
        depth_levels(QUARTER, profile, 0.25, 4),
        width_levels(QUARTER, profile, 0.25, 4),
        resolution_levels(QUARTER, profile, 0.25, 4),
    ):
        settings = [level.value for level in levels]
        assert len(set(settings)) == len(settings)


@each_profile
def test_the_baselines_own_setting_has_multiplier_one_on_every_axis(profile):
    own = {
        QUARTER.repeats: depth_levels(QUARTER, profile, 0.5, 2),
        QUARTER.widths: width_levels(QUARTER, profile, 0.5, 2),
        QUARTER.resolution: resolution_levels(QUARTER, profile, 0.5, 2),
    }
    for setting, levels in own.items():
        assert [level.multiplier for level in levels if level.value == setting] == [1.0]


@each_profile
def test_a_width_lies_in_the_middle_of_the_multipliers_that_give_it(profile):
    for level in width_levels(QUARTER, profile, 0.3, 3):
        if level.value != QUARTER.widths:
            assert level.multiplier == (level.low + level.high) / 2
        assert scaled_widths(QUARTER, level.multiplier, profile) == level.value


@each_profile
def test_a_depth_is_the_ratio_of_blocks(profile):
    for level in depth_levels(QUARTER, profile, 0.5, 3):
        assert level.multiplier == sum(level.value) / QUARTER.num_blocks


@given(st.sampled_from(sorted(ROUNDINGS)), st.floats(1.0, 2.5))
def test_whatever_a_multiplier_gives_is_a_level(name, by):
    profile = ROUNDINGS[name]
    # At an exact half, rounding to even blocks gives a setting that holds at this one point only.
    assume(profile.depth != "round" or all(2 * count * by % 1 for count in QUARTER.repeats))
    widths = {level.value for level in width_levels(QUARTER, profile, 0.0, 3)}
    depths = {level.value for level in depth_levels(QUARTER, profile, 0.0, 4)}
    sizes = {level.value for level in resolution_levels(QUARTER, profile, 0.0, 3)}
    network = scale(QUARTER, Multipliers(by, by, by), profile)
    assert network.widths in widths
    assert network.repeats in depths
    assert network.resolution in sizes


def test_resolutions_are_the_baselines_own_and_multiples_under_the_cap():
    rounding = Rounding(resolution_multiple=16, resolution_cap=80)
    odd = efficientnet_b0(resolution=40)
    sizes = [level.value for level in resolution_levels(odd, rounding, 1.0, 3.0)]
    assert sizes == [40, 48, 64, 80]
