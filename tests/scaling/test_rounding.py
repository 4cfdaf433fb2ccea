import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.scaling.rounding import (
    ROUNDINGS,
    Rounding,
    rounding_from,
    rounding_name,
    rounding_spec,
)

head_rules = st.sampled_from([(False, 0), (True, 0), (False, 4)])
roundings = st.builds(
    lambda depth, whole, floor, cap, stem, head, stages: Rounding(
        depth, *whole[:2], floor, whole[2], cap, stem, head[0], tuple(stages), head[1]
    ),
    st.sampled_from(["ceil", "round", "even"]),
    st.tuples(st.integers(1, 32), st.integers(1, 32), st.integers(1, 64)),
    st.floats(0, 1),
    st.none() | st.integers(1, 900),
    st.booleans(),
    head_rules,
    st.lists(st.integers(-3, 3), max_size=3),
)


@pytest.mark.parametrize("name", ROUNDINGS)
def test_a_profile_is_known_by_its_name(name):
    assert rounding_from(name) is ROUNDINGS[name]
    assert rounding_from({"profile": name}) == ROUNDINGS[name]
    assert rounding_from(ROUNDINGS[name]) is ROUNDINGS[name]


def test_fields_change_a_part_of_a_profile():
    mixed = rounding_from({"profile": "even", "divisor": 4, "resolution_multiple": 8})
    assert mixed == Rounding(depth="even", divisor=4, resolution_multiple=8)
    assert rounding_from({"depth": "round"}) == Rounding(depth="round")
    assert rounding_from({"fixed_stages": [0, -1]}).fixed_stages == (0, -1)


@given(roundings)
def test_a_rounding_comes_back_from_its_spec_through_json(rounding):
    assert rounding_from(json.loads(json.dumps(rounding_spec(rounding)))) == rounding


def test_a_spec_and_a_name_say_no_more_than_they_must():
    assert rounding_spec(Rounding()) == "official"
    mixed = Rounding(depth="even", divisor=4)
    assert rounding_spec(mixed) == {"profile": "even", "divisor": 4}
    assert rounding_name(mixed) == "even with divisor 4"
    assert rounding_name("timm") == "timm"
    assert rounding_name(Rounding(depth="even")) == "even"


@pytest.mark.parametrize(
    "bad",
    [
        "floor",
        3,
        {"profile": "evn"},
        {"divisr": 4},
        {"divisor": "4"},
        {"divisor": True},
        {"floor": None},
        {"depth": "floor"},
        {"resolution_cap": 1.5},
        {"fixed_stages": 0},
        {"fixed_stem": 1},
        {"divisor": 0},
    ],
)
def test_a_spec_that_cannot_be_is_refused_by_name(bad):
    with refused(ValueError):
        rounding_from(bad)


def test_all_problems_of_a_spec_are_told_at_once():
    with refused(ValueError):
        rounding_from({"profile": "x", "divisr": 4, "floor": "no"})


def test_the_cap_of_efficientnetv2_is_480_pixels_and_its_floor_is_gone():
    profile = ROUNDINGS["efficientnetv2"]
    assert [profile.pixels(exact) for exact in (300, 480, 481, 800)] == [300, 480, 480, 480]
    assert profile.channels(11) == 8  # the 0.9 rule gives 16


def test_timm_repeats_by_ceil_or_by_rounding():
    assert rounding_from("timm").repeats((3, 4), 1.1) == (4, 5)
    assert rounding_from({"profile": "timm", "depth": "round"}).repeats((3, 4), 1.1) == (3, 4)


def test_torchvisions_head_follows_the_last_stage():
    head = ROUNDINGS["torchvision"].head
    assert head(1280 * 1.1, last=352) == 1408  # the published widths agree with official
    assert head(1280 * 1.05, last=336) == 1344
    assert head(1280 * 1.03, last=328) == 1312
    assert ROUNDINGS["official"].head(1280 * 1.03, last=328) == 1320
