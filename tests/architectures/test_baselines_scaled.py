"""Every baseline against public counts, and scaled by its own convention."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from scalesearch.architectures.baselines import BASELINES, baseline, baseline_table
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale, with_parts
from scalesearch.architectures.stages import Stage
from scalesearch.architectures.totals import Cost
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.grid import depth_levels, reachable_grid, width_levels
from scalesearch.candidates.iso_cost import StuckAxisWarning, iso_cost_set
from scalesearch.candidates.nearest import nearest_on_budget
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers, Shares
from scalesearch.scaling.rounding import ROUNDINGS, Rounding

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/baselines.json").read_text())
OFFICIAL = ROUNDINGS["official"]
LITE, V2, V3 = map(baseline, ("efficientnet_lite0", "mobilenet_v2", "mobilenet_v3_large"))

each_baseline = pytest.mark.parametrize("name", BASELINES)
each_of_equal_blocks = pytest.mark.parametrize(
    "name", [name for name in BASELINES if not name.startswith("densenet")]
)
profiles = st.sampled_from(sorted(ROUNDINGS)).map(ROUNDINGS.__getitem__)
multipliers = st.floats(0.25, 3)


def test_every_baseline_has_golden_counts():
    assert set(GOLDEN["models"]) == set(BASELINES)


@each_baseline
def test_a_baseline_costs_what_was_counted_on_public_implementations(name):
    golden = GOLDEN["models"][name]
    network = baseline(name)
    spent = cost(network)
    assert network.resolution == golden["resolution"]
    assert spent.params == golden["params"]
    if "macs" in golden:
        assert spent == Cost(golden["macs"], golden["params"], golden["activations"])
    if "gmacs" in golden:
        assert spent.macs / 1e9 == pytest.approx(golden["gmacs"], abs=0.0005)


@pytest.mark.parametrize("member", GOLDEN["lite_family"], ids=["lite1", "lite2", "lite3", "lite4"])
def test_the_lite_family_has_the_parameters_of_its_authors_tests(member):
    by = Multipliers(depth=member["depth"], width=member["width"])
    assert cost(scale(LITE, by, OFFICIAL)).params == member["params"]


@pytest.mark.parametrize(
    ("by", "billions"), [({"depth": 4}, 14.57), ({"width": 2}, 16.12), ({"resolution": 2}, 16.35)]
)
def test_resnet_50_scaled_costs_what_a_recount_of_the_papers_table_3_found(by, billions):
    network = scale(baseline("resnet50"), Multipliers(**by), OFFICIAL)
    assert cost(network).macs / 1e9 == pytest.approx(billions, abs=0.005)


@each_baseline
def test_a_proxy_of_a_proxy_is_scaled_from_the_exact_widths(name):
    proxy = baseline(name, width=0.25, resolution=32, stem_stride=1)
    direct = baseline(name, width=1.5, resolution=32, stem_stride=1)
    assert scale(proxy, Multipliers(width=6), OFFICIAL) == direct


def test_lite_keeps_stem_head_and_the_depth_of_its_ends():
    large = scale(LITE, Multipliers(2, 2, 1), OFFICIAL)
    assert (large.stem, large.head) == (32, 1280)
    assert large.repeats == (1, 4, 4, 6, 6, 8, 1)
    assert large.widths[1:-1] == (32, 48, 80, 160, 224, 384, 640)


@pytest.mark.parametrize("network", [V2, V3], ids=["v2", "v3"])
def test_the_last_1280_channels_of_a_mobilenet_grow_and_do_not_shrink(network):
    heads = [scale(network, Multipliers(width=by), OFFICIAL).head for by in (0.25, 0.9, 1, 1.4)]
    assert heads == [1280, 1280, 1280, 1792]
    double = scale(network, Multipliers(width=4), OFFICIAL)
    assert scale(double, Multipliers(width=0.5), OFFICIAL).head == 2560


def test_a_network_without_a_head_gets_none_by_scaling():
    for by in (0.5, 2.0):
        assert scale(baseline("resnet18"), Multipliers(width=by), OFFICIAL).head == 0


def test_what_the_baseline_or_the_rounding_keeps_is_kept():
    kept = replace(
        V2, stages=(V2.stages[0], replace(V2.stages[1], fixed_depth=True), *V2.stages[2:])
    )
    rounding = Rounding(fixed_stem=True, fixed_head=True, fixed_stages=(-1,))
    large = scale(kept, Multipliers(2, 2, 1), rounding)
    assert (large.stem, large.head) == (32, 1280)
    assert large.repeats == (2, 2, 6, 8, 6, 6, 1)


def test_a_baseline_that_keeps_every_depth_has_one_level_of_it():
    stuck = replace(V2, stages=tuple(replace(stage, fixed_depth=True) for stage in V2.stages))
    for profile in ROUNDINGS.values():
        (level,) = depth_levels(stuck, profile, 0.5, 3)
        assert level.value == V2.repeats


def test_a_capped_resolution_bounds_the_grid_instead_of_growing_for_ever():
    baseline_at_384 = baseline("efficientnetv2_s")
    grid = reachable_grid(baseline_at_384, Budget(factor=4, rounding="efficientnetv2"))
    assert max(level.value for level in grid.resolutions) == 480


def test_growth_does_not_shrink_an_image_that_is_above_the_cap():
    large = baseline("efficientnet_b0", resolution=600)
    assert scale(large, Multipliers(resolution=1.1), Rounding(resolution_cap=480)).resolution == 600


@each_of_equal_blocks
@pytest.mark.parametrize("measure", ["macs", "params", "activations"])
def test_the_grid_counts_each_network_like_the_closed_form(name, measure):
    proxy = baseline(name, width=0.5, resolution=48, num_classes=10)
    grid = reachable_grid(proxy, Budget(measure=measure, smallest=0.6))
    costs = np.stack(list(grid.costs(measure)))
    random = np.random.default_rng(0)
    for place in zip(*(random.integers(length, size=40) for length in costs.shape), strict=True):
        depth, width, resolution = place
        network = with_parts(
            proxy,
            repeats=grid.depths[depth].value,
            widths=grid.widths[width].value,
            resolution=grid.resolutions[resolution].value,
        )
        assert costs[place] == getattr(cost(network), measure)


@each_baseline
@settings(max_examples=20)
@given(profile=profiles, axis=st.sampled_from(["depth", "width", "resolution"]), data=st.data())
def test_a_larger_multiplier_never_costs_less(name, profile, axis, data):
    low, high = sorted((data.draw(multipliers), data.draw(multipliers)))
    start = baseline(name)
    less, more = (cost(scale(start, Multipliers(**{axis: by}), profile)) for by in (low, high))
    assert less.macs <= more.macs
    assert less.params <= more.params
    assert less.activations <= more.activations


@each_baseline
def test_a_whole_step_of_any_axis_costs_more(name):
    start = baseline(name)
    for axis in ("depth", "width", "resolution"):
        spent = [cost(scale(start, Multipliers(**{axis: by}), OFFICIAL)).macs for by in (1, 2, 3)]
        assert spent[0] < spent[1] < spent[2]


@each_baseline
def test_every_width_of_a_baseline_is_a_level_of_its_own(name):
    start = baseline(name)
    settings_of_width = [level.value for level in width_levels(start, OFFICIAL, 0.25, 2)]
    assert len(set(settings_of_width)) == len(settings_of_width)
    assert start.widths in settings_of_width


# Lite0 keeps two of seven stages: 32 blocks cost 1.956x and 33 cost 2.042x, both just outside 2%.
ALMOST = {("efficientnet_lite0", "depth"): 0.97}


@each_of_equal_blocks
def test_each_axis_alone_can_double_the_cost_at_224_pixels(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StuckAxisWarning)
        candidates = iso_cost_set(baseline(name, resolution=224), Budget())
    for axis in ("depth", "width", "resolution"):
        share = max(getattr(candidate.shares, axis) for candidate in candidates)
        if (name, axis) in ALMOST:
            assert ALMOST[name, axis] < share < 0.999
        else:
            assert share == pytest.approx(1)


@each_of_equal_blocks
def test_a_proxy_for_small_images_has_networks_of_equal_cost(name):
    proxy = baseline(name, width=0.25, resolution=32, stem_stride=1, num_classes=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)
        assert len(iso_cost_set(proxy, Budget(tolerance=0.05))) > 10


def test_the_networks_of_one_cost_are_not_listed_where_blocks_read_all_before_them():
    with refused(ArchitectureError):
        iso_cost_set(baseline("densenet121"), Budget())
    with refused(ArchitectureError):
        nearest_on_budget(baseline("densenet121"), Shares(0.2, 0.5, 0.3), Budget())


def test_a_dense_stage_widens_by_its_growth_and_deepens_by_its_blocks():
    large = scale(baseline("densenet169"), Multipliers(2, 2, 1), OFFICIAL)
    assert large.repeats == (12, 1, 24, 1, 64, 1, 64)
    assert large.widths == (128, 64, 256, 64, 512, 64, 1280, 64, 0)
    assert large.last_channels == large.num_features == 1280 + 64 * 64
    assert [inputs for inputs, _ in large.transitions()] == [
        *(128, 128 + 12 * 64),
        *(256, 256 + 24 * 64),
        *(512, 512 + 64 * 64),
        1280,
    ]


def test_the_catalogue_says_what_each_network_costs_and_keeps():
    rows = {row["name"]: row for row in baseline_table()}
    assert list(rows) == list(BASELINES)
    lite = rows["efficientnet_lite0"]
    assert (lite["params"], lite["macs"]) == (4652008, cost(LITE).macs)
    assert lite["depth"] == "16 blocks: all stages but 1 and 7 of 7"
    assert lite["width"] == "stages, stem fixed at 32, head fixed at 1280"
    assert rows["mobilenet_v2"]["width"] == "stages, stem, head from 1280 up"
    assert rows["resnet50"]["width"] == "stages, stem, no head"
    assert rows["efficientnet_b0"]["depth"] == "16 blocks: all stages"
    assert all(row["citation"] for row in rows.values())


def test_an_inner_width_is_rounded_to_eights_like_tensorflow_does():
    # The published inner widths of MobileNetV3's fractional expansions: 200 and 184 of 80 inputs
    wide, narrow = (Stage(1, 80, expansion=by, squeeze=0, block="bneck") for by in (2.5, 2.3))
    assert {stage.expansion for stage in V3.stages} >= {2.3, 2.5}
    per_inner = 80 + 9 + 80  # expand, depthwise, project
    fewer = replace(V3, stages=(*V3.stages[:5], narrow, *V3.stages[6:]))
    more = replace(V3, stages=(*V3.stages[:5], wide, *V3.stages[6:]))
    at_14_px = 14 * 14
    assert cost(more).macs - cost(fewer).macs == (200 - 184) * per_inner * at_14_px
