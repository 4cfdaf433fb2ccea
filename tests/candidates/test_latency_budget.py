import warnings
from itertools import product

import numpy as np
import pytest
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.scaled import with_parts
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.candidates.budget import Budget, CostLimits
from scalesearch.candidates.grid import (
    depth_levels,
    reachable_grid,
    resolution_levels,
    width_levels,
)
from scalesearch.candidates.iso_cost import StuckAxisWarning, iso_cost_set, nominal_candidate
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS
from scalesearch.search.design import search_space

TINY = Architecture(
    stem=8,
    stages=(Stage(2, 16, stride=2, expansion=4), Stage(3, 40, kernel=5, expansion=2, squeeze=0)),
    head=64,
    resolution=12,
    stem_stride=1,
    num_classes=10,
)
QUARTER = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
MODEL = LatencyModel(  # each takes an eighth of TINY's time or more
    seconds_per_mac=1e-9,
    seconds_per_activation=4e-8,
    seconds_per_block=5e-4,
    overhead_seconds=1e-3,
    batch_size=2,
)


def quiet_isocost(baseline, budget):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)
        return iso_cost_set(baseline, budget)


def every_network(baseline, low, high):
    """All combinations of levels, made and not counted."""
    axes = [
        levels(baseline, ROUNDINGS["even"], low, high)
        for levels in (depth_levels, width_levels, resolution_levels)
    ]
    for depth, width, resolution in product(*axes):
        yield with_parts(
            baseline,
            repeats=depth.value,
            widths=width.value,
            resolution=resolution.value,
        )


@pytest.mark.parametrize(("factor", "low", "high"), [(1.5, 1, 3), (0.7, 0.05, 1)])
def test_the_set_of_equal_latency_is_found_by_predicting_every_network(factor, low, high):
    budget = Budget(measure="latency", factor=factor, tolerance=0.05, latency=MODEL)
    own = MODEL.predicted_seconds(TINY)
    expected = {
        network
        for network in every_network(TINY, low, high)
        if abs(MODEL.predicted_seconds(network) / own / factor - 1) <= 0.05
    }
    found = quiet_isocost(TINY, budget)
    assert {candidate.architecture for candidate in found} == expected
    assert len(found) == len(expected) > 3
    for candidate in found:
        assert candidate.factor == MODEL.predicted_seconds(candidate.architecture) / own
        assert candidate.cost == cost(candidate.architecture)


def test_the_grids_seconds_are_a_networks_own_to_the_last_bit():
    grid = reachable_grid(QUARTER, Budget(measure="latency", factor=1.2, latency=MODEL))
    seconds = np.stack(list(grid.costs("latency", MODEL)))
    random = np.random.default_rng(0)
    for d, w, r in zip(*(random.integers(size, size=300) for size in seconds.shape), strict=True):
        network = with_parts(
            QUARTER,
            repeats=grid.depths[d].value,
            widths=grid.widths[w].value,
            resolution=grid.resolutions[r].value,
        )
        assert seconds[d, w, r] == MODEL.predicted_seconds(network)


def test_latency_can_bound_networks_of_equal_macs():
    free = quiet_isocost(QUARTER, Budget())
    bounded = quiet_isocost(QUARTER, Budget(limits=CostLimits(latency=1.8), latency=MODEL))
    own = MODEL.predicted_seconds(QUARTER)
    expected = {c.fingerprint for c in free if MODEL.predicted_seconds(c.architecture) <= 1.8 * own}
    assert {candidate.fingerprint for candidate in bounded} == expected
    assert 0 < len(expected) < len(free)


def test_a_nominal_budget_tells_the_realised_latency():
    budget = Budget(measure="latency", mode="nominal", latency=MODEL)
    candidate = nominal_candidate(QUARTER, Multipliers(depth=2.0), budget)
    own = MODEL.predicted_seconds(QUARTER)
    assert candidate.factor == MODEL.predicted_seconds(candidate.architecture) / own


@pytest.mark.parametrize("asks", [{"measure": "latency"}, {"limits": CostLimits(latency=1.5)}])
def test_latency_without_a_model_is_refused_with_where_to_get_one(asks):
    with refused(ValueError):
        Budget(**asks)


@pytest.mark.parametrize("mode", ["realised", "nominal"])
def test_the_latency_of_a_network_made_by_code_is_refused_with_what_to_do(mode):
    budget = Budget(measure="latency", latency=MODEL, mode=mode)
    with refused(ArchitectureError):
        search_space(CustomModel(factory="some.module:factory"), budget)
