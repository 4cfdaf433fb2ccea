import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import with_parts
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.grid import reachable_grid

MEASURES = ("macs", "params", "activations")
QUARTER = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)

stages = st.builds(
    Stage,
    repeats=st.integers(1, 3),
    width=st.integers(1, 40),
    stride=st.integers(1, 2),
    kernel=st.sampled_from([3, 5]),
    expansion=st.sampled_from([1, 4]),
    squeeze=st.sampled_from([0, 4]),
)
architectures = st.builds(
    Architecture,
    stem=st.integers(1, 40),
    stages=st.lists(stages, min_size=1, max_size=3).map(tuple),
    head=st.integers(1, 40),
    resolution=st.integers(4, 20),
    stem_stride=st.integers(1, 2),
    in_channels=st.integers(1, 3),
    num_classes=st.integers(1, 20),
)


def network_at(grid, depth, width, resolution):
    return with_parts(
        grid.baseline,
        repeats=grid.depths[depth].value,
        widths=grid.widths[width].value,
        resolution=grid.resolutions[resolution].value,
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_a_thousand_networks_cost_in_the_grid_what_each_costs_alone(measure):
    grid = reachable_grid(QUARTER, Budget(measure=measure))
    costs = np.stack(list(grid.costs(measure)))
    assert costs.shape == (len(grid.depths), len(grid.widths), len(grid.resolutions))
    assert grid.size == costs.size
    random = np.random.default_rng(0)
    for place in zip(*(random.integers(length, size=1000) for length in costs.shape), strict=True):
        assert costs[place] == getattr(cost(network_at(grid, *place)), measure)


@settings(max_examples=40)
@given(architectures, st.sampled_from(MEASURES), st.data())
def test_the_grid_counts_any_baseline_exactly(baseline, measure, data):
    grid = reachable_grid(baseline, Budget(measure=measure))
    costs = np.stack(list(grid.costs(measure)))
    place = tuple(data.draw(st.integers(0, length - 1)) for length in costs.shape)
    assert costs[place] == getattr(cost(network_at(grid, *place)), measure)


def test_growth_takes_no_multiplier_below_the_smallest_and_shrinking_none_above_its_inverse():
    def extremes(budget):
        grid = reachable_grid(QUARTER, budget)
        for levels in (grid.depths, grid.widths, grid.resolutions):
            multipliers = [level.multiplier for level in levels]
            yield min(multipliers), max(multipliers)

    assert [low for low, _ in extremes(Budget())] == [1.0, 1.0, 1.0]
    assert [high for _, high in extremes(Budget(factor=0.5))] == [1.0, 1.0, 1.0]
    assert all(0.8 <= low < 1 for low, _ in extremes(Budget(smallest=0.8)))
    assert all(1 < high <= 1.25 for _, high in extremes(Budget(factor=0.5, smallest=0.8)))


def test_each_axis_reaches_beyond_the_whole_budget():
    grid = reachable_grid(QUARTER, Budget())
    own = {"repeats": QUARTER.repeats, "widths": QUARTER.widths, "resolution": QUARTER.resolution}
    for part, levels in zip(own, (grid.depths, grid.widths, grid.resolutions), strict=True):
        largest = with_parts(QUARTER, **{**own, part: levels[-1].value})
        assert cost(largest).macs > 2.04 * cost(QUARTER).macs


def test_an_axis_that_is_free_in_the_measure_stays_where_it_is():
    grid = reachable_grid(QUARTER, Budget(measure="params"))
    assert [level.value for level in grid.resolutions] == [32]
