from dataclasses import FrozenInstanceError, replace

import pytest
from refusals import refused

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage

STAGES = (Stage(repeats=1, width=16), Stage(repeats=2, width=24, stride=2, expansion=6))
SMALL = Architecture(stem=8, stages=STAGES, head=64, resolution=32)


def test_what_depth_and_width_count_can_be_read_off():
    assert SMALL.repeats == (1, 2)
    assert SMALL.num_blocks == 3
    assert SMALL.widths == (8, 16, 24, 64)


def test_the_stride_is_the_product_of_all_strides():
    assert SMALL.total_stride == 4
    assert replace(SMALL, stem_stride=1).total_stride == 2


def test_each_stage_comes_with_the_channels_that_flow_into_it():
    assert list(SMALL.transitions()) == [(8, STAGES[0]), (16, STAGES[1])]


def test_architectures_are_frozen_keys():
    with pytest.raises(FrozenInstanceError):
        SMALL.stem = 9
    assert {SMALL: 1}[replace(SMALL)] == 1


def test_where_widths_were_rounded_from_is_no_part_of_what_a_network_is():
    other = replace(SMALL, exact_widths=(8.2, 15.9, 24.0, 64.1))
    assert other == SMALL
    assert hash(other) == hash(SMALL)


def test_how_a_network_is_scaled_is_no_part_of_what_it_is():
    kept = replace(
        SMALL,
        stages=tuple(replace(stage, fixed_depth=True) for stage in STAGES),
        fixed_stem=True,
        fixed_head=True,
        least_head=64,
    )
    assert kept == SMALL
    assert fingerprint(kept) == fingerprint(SMALL)


def test_a_whole_expansion_is_one_number_however_it_is_written():
    assert fingerprint(replace(SMALL, stages=(Stage(1, 8, expansion=6.0),))) == fingerprint(
        replace(SMALL, stages=(Stage(1, 8, expansion=6),))
    )


def test_the_classifier_reads_the_head_or_the_last_stage():
    assert SMALL.num_features == 64
    assert replace(SMALL, head=0).num_features == 24


def test_a_pool_behind_the_stem_is_part_of_the_stride():
    assert replace(SMALL, stem_pool=2).total_stride == 8


@pytest.mark.parametrize("field", ["repeats", "width", "stride", "kernel", "expansion"])
def test_a_stage_without_a_size_is_refused_by_name(field):
    with refused(ValueError):
        replace(STAGES[0], **{field: 0})


@pytest.mark.parametrize(
    "bad",
    [
        {"kernel": 4},
        {"squeeze": -1},
        {"block": "transformer"},
        {"activation": "tanh"},
        {"block": "basic"},
        {"block": "separable", "squeeze": 0, "expansion": 6},
        {"expansion": 2.5},
    ],
)
def test_a_stage_that_cannot_be_built_is_refused(bad):
    with refused(ValueError):
        replace(STAGES[0], **bad)


@pytest.mark.parametrize(
    "field", ["stem", "resolution", "stem_stride", "in_channels", "num_classes"]
)
def test_an_architecture_without_a_size_is_refused_by_name(field):
    with refused(ValueError):
        replace(SMALL, **{field: 0})


def test_a_head_of_fewer_than_no_channels_is_refused():
    with refused(ValueError):
        replace(SMALL, head=-1)


def test_a_head_behind_the_pooling_has_to_be_there():
    with refused(ValueError):
        replace(SMALL, head=0, head_pooled=True)


def test_an_architecture_needs_a_stage_and_a_known_activation():
    with refused(ValueError):
        replace(SMALL, stages=())
    with refused(ValueError):
        replace(SMALL, activation="tanh")
