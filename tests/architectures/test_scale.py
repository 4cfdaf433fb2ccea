import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale, with_parts
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.scaling.coefficients import Coefficients, Multipliers
from scalesearch.scaling.rounding import ROUNDINGS, Rounding

OFFICIAL = ROUNDINGS["official"]
B0 = efficientnet_b0()

profiles = st.sampled_from(sorted(ROUNDINGS)).map(ROUNDINGS.__getitem__)
odd_baselines = st.builds(
    lambda stem, widths, repeats, head, resolution: Architecture(
        stem=stem,
        stages=tuple(
            Stage(repeats=count, width=width) for count, width in zip(repeats, widths, strict=True)
        ),
        head=head,
        resolution=resolution,
    ),
    st.integers(1, 60),
    st.lists(st.integers(1, 200), min_size=3, max_size=3),
    st.lists(st.integers(1, 6), min_size=3, max_size=3),
    st.integers(1, 300),
    st.integers(1, 300),
)
hundredths = st.integers(25, 400).map(lambda percent: percent / 100)


def test_multipliers_of_one_are_the_identity_where_numbers_are_odd():
    odd = Architecture(stem=13, stages=(Stage(3, 17), Stage(5, 29)), head=101, resolution=31)
    for profile in (*ROUNDINGS.values(), Rounding(resolution_multiple=32, resolution_cap=16)):
        assert scale(odd, Multipliers(), profile) == odd


@given(odd_baselines, profiles)
def test_phi_zero_is_the_baseline(baseline, profile):
    assert scale(baseline, Coefficients(1.2, 1.1, 1.15).at(0), profile) == baseline


@given(odd_baselines, profiles, st.floats(0.1, 4))
def test_growth_takes_no_channel_away_and_shrinking_adds_none(baseline, profile, width):
    widths = scale(baseline, Multipliers(width=width), profile).widths
    for own, now in zip(baseline.widths, widths, strict=True):
        assert now >= own if width > 1 else now <= own


@given(profiles, hundredths, hundredths)
@example(OFFICIAL, 0.25, 2.0)
def test_widening_twice_is_widening_once_by_the_product(profile, first, second):
    twice = scale(scale(B0, Multipliers(width=first), profile), Multipliers(width=second), profile)
    assert twice == scale(B0, Multipliers(width=first * second), profile)


def test_what_was_rounded_twice_is_still_scaled_from_the_exact_widths():
    steps = [Multipliers(width=by) for by in (0.3, 1.7, 2.9)]
    network = B0
    for by in steps:
        network = scale(network, by, OFFICIAL)
    assert network == scale(B0, Multipliers(width=0.3 * 1.7 * 2.9), OFFICIAL)
    assert network.exact_widths == pytest.approx([w * 0.3 * 1.7 * 2.9 for w in B0.widths])


def test_b1_is_deeper_by_the_ceiling_in_every_stage():
    assert scale(B0, Multipliers(depth=1.1), OFFICIAL).repeats == (2, 3, 3, 4, 4, 5, 2)


@pytest.mark.parametrize("alpha", [1.0 + 1e-6, 1.1, 1.2, 1.25])
def test_any_alpha_up_to_a_quarter_more_is_one_and_the_same_depth(alpha):
    deeper = scale(B0, Multipliers(depth=alpha), OFFICIAL)
    assert deeper == scale(B0, Multipliers(depth=1.2), OFFICIAL)
    assert deeper != B0
    assert deeper != scale(B0, Multipliers(depth=1.26), OFFICIAL)


def test_the_papers_coefficients_cost_much_more_than_the_two_they_ask_for():
    asked = Coefficients(1.2, 1.1, 1.15)
    realised = cost(scale(B0, asked.at(1), OFFICIAL)).macs / cost(B0).macs
    assert asked.factor < 2
    assert realised == pytest.approx(2.57, abs=0.005)


def test_even_depth_moves_in_single_blocks():
    totals = [
        scale(B0, Multipliers(depth=blocks / 16), ROUNDINGS["even"]).num_blocks
        for blocks in range(16, 40)
    ]
    assert totals == list(range(16, 40))


def test_stem_and_head_stay_where_the_profile_fixes_them():
    lite = Rounding(fixed_stem=True, fixed_head=True, fixed_stages=(0, -1))
    wide = scale(B0, Multipliers(depth=2, width=2), lite)
    assert (wide.stem, wide.head) == (32, 1280)
    assert wide.widths[1:-1] == (32, 48, 80, 160, 224, 384, 640)
    assert wide.repeats == (1, 4, 4, 6, 6, 8, 1)


def test_parts_replace_blocks_channels_and_pixels_and_nothing_else():
    again = with_parts(B0, repeats=B0.repeats, widths=B0.widths, resolution=224)
    assert again == B0
    other = with_parts(B0, repeats=(1,) * 7, widths=(8,) * 9, resolution=32)
    assert (other.repeats, other.widths, other.resolution) == ((1,) * 7, (8,) * 9, 32)
    assert [stage.kernel for stage in other.stages] == [stage.kernel for stage in B0.stages]
