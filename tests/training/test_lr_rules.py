"""Recipe rules: known values, and a second application changes nothing."""

from dataclasses import replace
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS
from scalesearch.training.lr_rules import LR_SWEEP_FACTORS, adapted_recipe, effective_depth

B0 = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)
RECIPE = Recipe(learning_rate=0.1, dropout=0.2)
DEPTH = replace(RECIPE, learning_rate_rule="depth")
SCALED = replace(RECIPE, regularisation="scaled")
FOREIGN = CustomModel(factory="nets.plain:cnn")


def changed(**multipliers: float) -> Architecture:
    return scale(B0, Multipliers(**multipliers), ROUNDINGS["official"])


def test_fixed_rules_change_nothing() -> None:
    assert adapted_recipe(RECIPE, changed(depth=2, width=2), B0) is RECIPE
    assert adapted_recipe(RECIPE, FOREIGN, FOREIGN) is RECIPE


def test_the_rate_falls_with_the_depth_to_the_power_of_three_halves() -> None:
    own, deeper = effective_depth(B0), effective_depth(changed(depth=2))
    assert (own, deeper) == (31, 47)  # sixteen blocks more, each of which adds one
    expected = replace(RECIPE, learning_rate=0.1 * (47 / 31) ** -1.5)
    assert adapted_recipe(DEPTH, changed(depth=2), B0) == expected
    assert adapted_recipe(DEPTH, B0, changed(depth=2)).learning_rate > 0.1


def test_width_and_resolution_do_not_change_the_rate() -> None:
    full = efficientnet_b0(resolution=32)
    larger = scale(full, Multipliers(width=1.4, resolution=1.5), ROUNDINGS["official"])
    assert adapted_recipe(DEPTH, larger, full) == RECIPE


def test_the_depth_of_a_custom_model_is_unknown() -> None:
    with refused(ArchitectureError):
        adapted_recipe(DEPTH, FOREIGN, FOREIGN)


def test_a_tuned_rate_stays_until_it_is_measured() -> None:
    tuned = replace(RECIPE, learning_rate_rule="tuned")
    assert adapted_recipe(tuned, changed(depth=2), B0) is tuned
    assert 1.0 in LR_SWEEP_FACTORS


def test_dropout_grows_by_the_familys_rule() -> None:
    wider = changed(width=1.5)
    doublings = log2(cost(wider).macs / cost(B0).macs)
    assert doublings > 0.5
    grown = adapted_recipe(SCALED, wider, B0)
    assert grown.dropout == pytest.approx(0.2 + 0.3 / 7 * doublings)
    assert grown == replace(RECIPE, dropout=grown.dropout)
    shrunk = adapted_recipe(SCALED, B0, wider)
    assert shrunk.dropout == pytest.approx(0.2 - 0.3 / 7 * doublings)


def test_seven_doublings_give_the_dropout_of_b7() -> None:
    """128 times the multiply-adds: classes enough for it, in a network that is little else."""
    small = replace(B0, num_classes=1)
    other = cost(small).macs - small.num_features
    large = replace(small, num_classes=(128 * cost(small).macs - other) // small.num_features)
    assert cost(large).macs / cost(small).macs == pytest.approx(128, rel=1e-4)
    assert adapted_recipe(SCALED, large, small).dropout == pytest.approx(0.5, abs=1e-4)
    assert adapted_recipe(SCALED, small, large).dropout == 0.0  # 0.2 - 0.3, and not below none
    assert adapted_recipe(replace(SCALED, dropout=0.4), large, small).dropout == 0.5
    assert adapted_recipe(replace(SCALED, dropout=0.6), large, small).dropout == 0.6


@given(
    st.sampled_from(["fixed", "depth", "tuned"]),
    st.sampled_from(["fixed", "scaled"]),
    st.sampled_from([0.0, 0.2, 0.7]),
    st.floats(0.5, 3),
    st.floats(0.5, 3),
)
def test_adapting_again_changes_nothing(
    rate: str, regularisation: str, dropout: float, depth: float, width: float
) -> None:
    recipe = replace(
        RECIPE, learning_rate_rule=rate, regularisation=regularisation, dropout=dropout
    )
    network = changed(depth=depth, width=width)
    once = adapted_recipe(recipe, network, B0)
    assert adapted_recipe(once, network, B0) == once
    at_home = replace(recipe, learning_rate_rule=once.learning_rate_rule, regularisation="fixed")
    assert adapted_recipe(recipe, B0, B0) == at_home


@given(st.floats(0.5, 4), st.floats(0.5, 4))
def test_the_deeper_the_lower_the_rate(one: float, other: float) -> None:
    shallow, deep = (changed(depth=depth) for depth in sorted((one, other)))
    assert effective_depth(shallow) <= effective_depth(deep)
    assert (
        adapted_recipe(DEPTH, shallow, B0).learning_rate
        >= adapted_recipe(DEPTH, deep, B0).learning_rate
        > 0
    )
