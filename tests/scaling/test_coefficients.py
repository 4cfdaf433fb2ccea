import dataclasses
import math
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.scaling.rounding import ROUNDINGS, Rounding, apportioned_blocks

bases = st.floats(0.5, 3)
phis = st.floats(-4, 8)
factors = st.floats(0.1, 16).filter(lambda factor: abs(math.log(factor)) > 0.01)
coefficients = st.builds(Coefficients, bases, bases, bases)
parts = st.floats(-2, 2)
shares = st.builds(lambda depth, width: Shares(depth, width, 1 - depth - width), parts, parts)
counts = st.lists(st.integers(1, 12), min_size=1, max_size=8)
depths = st.floats(0.1, 6)
exact_channels = st.floats(0.5, 3000)
roundings = st.builds(
    lambda depth, divisor, minimum, floor, step: Rounding(
        depth, divisor, divisor * minimum, floor, step
    ),
    st.sampled_from(["ceil", "round", "even"]),
    st.integers(1, 16),
    st.integers(1, 3),
    st.floats(0, 1),
    st.integers(1, 32),
)
each_profile = pytest.mark.parametrize("profile", ROUNDINGS.values(), ids=ROUNDINGS)


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(coefficients)
def test_phi_zero_is_the_identity(coefficients):
    assert coefficients.at(0) == Multipliers(1, 1, 1)


@given(coefficients, phis, phis)
def test_exponents_add_where_multipliers_multiply(coefficients, first, second):
    one, other, both = (coefficients.at(phi) for phi in (first, second, first + second))
    assert one.depth * other.depth == close(both.depth)
    assert one.factor * other.factor == close(both.factor)


@given(coefficients, phis)
def test_compute_grows_by_the_factor_for_every_step_of_phi(coefficients, phi):
    assert coefficients.at(phi).factor == close(coefficients.factor**phi)


def test_the_papers_coefficients_ask_for_a_little_less_than_two():
    assert Coefficients(1.2, 1.1, 1.15).factor == close(1.92027)


@given(shares, factors)
def test_coefficients_of_shares_spend_exactly_the_factor(shares, factor):
    assert shares.coefficients(factor).factor == pytest.approx(factor, rel=1e-9)


@given(shares, factors)
def test_shares_come_back_from_their_coefficients(shares, factor):
    assert shares.coefficients(factor).shares.as_tuple() == pytest.approx(
        shares.as_tuple(), abs=1e-9
    )


@given(coefficients)
def test_coefficients_come_back_from_their_shares_and_factor(coefficients):
    assume(abs(math.log(coefficients.factor)) > 0.01)
    again = coefficients.shares.coefficients(coefficients.factor)
    assert again.alpha == close(coefficients.alpha)
    assert again.beta == close(coefficients.beta)
    assert again.gamma == close(coefficients.gamma)


@given(coefficients)
def test_shares_sum_to_one(coefficients):
    assume(abs(math.log(coefficients.factor)) > 0.01)
    assert sum(coefficients.shares.as_tuple()) == close(1)


@given(coefficients, phis)
def test_shares_are_a_direction_and_do_not_depend_on_phi(coefficients, phi):
    assume(abs(phi * math.log(coefficients.factor)) > 0.01)
    assert coefficients.at(phi).shares.distance(coefficients.shares) < 1e-6


@given(shares, shares)
def test_distance_is_symmetric_and_zero_at_home(one, other):
    assert one.distance(other) == other.distance(one)
    assert one.distance(one) == 0


def test_the_corners_of_the_simplex_are_a_root_of_two_apart():
    assert Shares(1, 0, 0).distance(Shares(0, 1, 0)) == close(math.sqrt(2))


def test_multipliers_that_spend_nothing_have_no_shares():
    with refused(ValueError):
        _ = Multipliers(4, 0.5, 1).shares


# Rounding


def test_the_official_profile_gives_the_published_channels_of_b2():
    official = ROUNDINGS["official"]
    exact = (channels * 1.1 for channels in (32, 16, 24, 40, 80, 112, 192, 320, 1280))
    assert [official.channels(channels) for channels in exact] == [
        *(32, 16, 24, 48, 88, 120, 208, 352, 1408)
    ]


def test_the_nearest_profile_may_fall_a_little_lower_than_the_official():
    assert ROUNDINGS["official"].channels(11) == 16
    assert ROUNDINGS["nearest"].channels(11) == 8


@given(roundings, exact_channels)
def test_channels_are_multiples_of_the_divisor(rounding, exact):
    assert rounding.channels(exact) % rounding.divisor == 0


@given(roundings, exact_channels)
def test_channels_fall_under_neither_the_minimum_nor_the_floor(rounding, exact):
    assert rounding.channels(exact) >= rounding.minimum
    assert rounding.channels(exact) >= rounding.floor * exact * (1 - 1e-9)


@given(roundings, exact_channels, exact_channels)
def test_more_channels_asked_for_are_never_fewer_given(rounding, one, other):
    low, high = sorted((one, other))
    assert rounding.channels(low) <= rounding.channels(high)


@given(roundings, counts, depths, depths)
def test_more_depth_takes_a_block_from_no_stage(rounding, counts, one, other):
    low, high = sorted((one, other))
    fewer, more = rounding.repeats(counts, low), rounding.repeats(counts, high)
    assert all(before <= after for before, after in zip(fewer, more, strict=True))
    assert min(fewer) >= 1


@given(roundings, st.floats(1, 900), st.floats(1, 900))
def test_more_resolution_never_gives_fewer_pixels(rounding, one, other):
    low, high = sorted((one, other))
    assert rounding.pixels(low) <= rounding.pixels(high)
    assert rounding.pixels(low) % rounding.resolution_multiple == 0


@given(roundings, counts)
def test_depth_one_changes_no_stage(rounding, counts):
    assert rounding.repeats(counts, 1.0) == tuple(counts)


@each_profile
@pytest.mark.parametrize("whole", [(2**0.5) ** 2, 0.1 * 20, 3 - 1 - 1e-15, 2 + 1e-12])
def test_a_whole_number_missed_by_float_noise_is_that_number(profile, whole):
    free = dataclasses.replace(profile, fixed_stages=())
    assert free.repeats((1, 2, 3), whole) == (2, 4, 6)
    assert profile.channels(16 * whole) == 32
    assert profile.channels(10 * whole) == 24  # half-way between 16 and 24 goes up
    assert profile.pixels(112 * whole) == 224


def test_pixels_keep_to_the_multiple_and_under_the_cap():
    rounding = Rounding(resolution_multiple=32, resolution_cap=480)
    assert [rounding.pixels(exact) for exact in (3, 239, 241, 900)] == [32, 224, 256, 480]


def test_a_cap_between_two_multiples_allows_the_lower_one():
    assert Rounding(resolution_multiple=32, resolution_cap=500).pixels(900) == 480
    assert Rounding(resolution_multiple=32, resolution_cap=16).pixels(900) == 16


def test_a_minimum_between_two_multiples_asks_for_the_higher_one():
    assert Rounding(divisor=12, minimum=16).channels(3) == 24


def test_fixed_stages_keep_their_depth_counted_from_either_end():
    rounding = Rounding(fixed_stages=(0, -1))
    assert rounding.repeats((1, 2, 3, 1), 2.0) == (1, 4, 6, 1)


@given(roundings, counts, st.data())
def test_depth_is_constant_between_its_edges(rounding, counts, data):
    edges = sorted(edge for edge in rounding.depth_edges(counts, 4.0) if edge <= 4.0)
    low, high = data.draw(st.sampled_from(list(pairwise(edges))))
    assume(high - low > 1e-6)
    first, second = (low + (high - low) * part for part in (0.01, 0.99))
    assert rounding.repeats(counts, first) == rounding.repeats(counts, second)


@given(roundings, st.lists(st.floats(4, 400), min_size=1, max_size=4), st.data())
def test_channels_are_constant_between_the_edges_of_width(rounding, channels, data):
    edges = sorted(edge for edge in rounding.width_edges(channels, 3.0) if edge < 3.0)
    assume(len(edges) > 1)
    low, high = data.draw(st.sampled_from(list(pairwise(edges))))
    assume(high - low > 1e-6)
    first, second = (low + (high - low) * part for part in (0.01, 0.99))
    for exact in channels:
        assert rounding.channels(exact * first) == rounding.channels(exact * second)


# Webster's method


@given(counts, st.integers(0, 80))
def test_apportioned_blocks_sum_to_the_total_or_to_one_a_stage(weights, total):
    assert sum(apportioned_blocks(weights, total)) == max(total, len(weights))


@given(counts, st.integers(0, 80))
def test_one_block_more_in_total_goes_to_one_stage_and_comes_from_none(weights, total):
    fewer, more = apportioned_blocks(weights, total), apportioned_blocks(weights, total + 1)
    gained = [after - before for before, after in zip(fewer, more, strict=True)]
    assert sorted(gained)[:-1] == [0] * (len(gained) - 1)
    assert max(gained) in (0, 1)


@given(counts, st.integers(0, 80))
@example([1, 9], 4)
def test_blocks_are_those_that_are_handed_out_one_by_one(weights, total):
    blocks = [1] * len(weights)
    for _ in range(total - len(weights)):
        index = max(range(len(weights)), key=lambda i: weights[i] / (2 * blocks[i] + 1))
        blocks[index] += 1
    assert apportioned_blocks(weights, total) == tuple(blocks)


def test_where_no_stage_may_grow_there_is_nothing_to_hand_out():
    assert apportioned_blocks([], 0) == ()


@given(counts, st.integers(1, 5))
def test_whole_multiples_of_the_weights_are_met_exactly(weights, times):
    assert apportioned_blocks(weights, times * sum(weights)) == tuple(
        times * one for one in weights
    )


@given(counts, st.integers(1, 80))
@example([10, 3], 7)
def test_quotas_are_rounded_to_the_nearest_wherever_that_sums_to_the_total(weights, total):
    quotas = [total * weight / sum(weights) for weight in weights]
    nearest = tuple(round(quota) for quota in quotas)
    assume(sum(nearest) == total and min(nearest) >= 1)
    assume(all(abs(quota % 1 - 0.5) > 1e-9 for quota in quotas))
    assert apportioned_blocks(weights, total) == nearest


# What is refused


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: Multipliers(depth=value),
        lambda value: Multipliers(width=value),
        lambda value: Multipliers(resolution=value),
        lambda value: Coefficients(value, 1, 1),
        lambda value: Coefficients(1, value, 1),
        lambda value: Coefficients(1, 1, value),
        lambda value: Shares(1, 0, 0).coefficients(value),
    ],
)
def test_what_must_be_positive_is_refused_by_name(make, value):
    with refused(ValueError):
        make(value)


@pytest.mark.parametrize("depth", [0.5, math.nan])
def test_shares_that_do_not_sum_to_one_are_refused_with_their_sum(depth):
    with refused(ValueError):
        Shares(depth, 0.5, 0.5)


@pytest.mark.parametrize(
    "bad",
    [
        {"depth": "floor"},
        {"divisor": 0},
        {"minimum": 0},
        {"resolution_multiple": 0},
        {"floor": 1.5},
        {"resolution_cap": 0},
        {"head_per_last": -1},
        {"head_per_last": 4, "fixed_head": True},
    ],
)
def test_a_rounding_that_cannot_be_is_refused_by_name(bad):
    with refused(ValueError):
        Rounding(**bad)
