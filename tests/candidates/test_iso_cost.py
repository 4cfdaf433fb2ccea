import warnings
from collections import defaultdict
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.scaled import scale, with_parts
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.candidates.budget import Budget, CostLimits
from scalesearch.candidates.iso_cost import (
    StuckAxisWarning,
    iso_cost_set,
    nearest_candidate,
    nominal_candidate,
)
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Coefficients, Multipliers, Shares
from scalesearch.scaling.rounding import ROUNDINGS, Rounding

QUARTER = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
TINY = Architecture(
    stem=8,
    stages=(Stage(2, 16, stride=2, expansion=4), Stage(3, 40, kernel=5, expansion=2, squeeze=0)),
    head=64,
    resolution=12,
    stem_stride=1,
    num_classes=10,
)
ODD = replace(  # of another rule than multiples of eight
    TINY,
    stem=9,
    head=70,
    stages=(replace(TINY.stages[0], width=21), replace(TINY.stages[1], width=43)),
)
CORNERS = (Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1))


def quiet_isocost(baseline, budget):
    """The set alone, where the warnings are another test's subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StuckAxisWarning)
        return iso_cost_set(baseline, budget)


@pytest.fixture(scope="module")
def doubled():
    return iso_cost_set(QUARTER, Budget())


def found_by_trying(baseline, budget):
    """The iso-cost set the long way round: scale by every multiplier of a fine mesh, and count."""
    low, high = (budget.smallest, 4.0) if budget.factor > 1 else (0.0, 1 / budget.smallest)

    def within(by):
        return low - 1e-9 <= by <= high + 1e-9

    depths, sizes = {baseline.repeats}, {baseline.resolution}
    giving = defaultdict(list)
    for by in np.arange(0.1, 4.0, 5e-4):
        network = scale(baseline, Multipliers(by, by, by), budget.rounding_profile)
        depths.add(network.repeats)
        sizes.add(network.resolution)
        giving[network.widths].append(by)
    giving[baseline.widths] = [1.0]
    depths = {d for d in depths if within(sum(d) / baseline.num_blocks)}
    widths = {w for w, by in giving.items() if within((by[0] + by[-1]) / 2)}
    sizes = {r for r in sizes if within(r / baseline.resolution)}
    if budget.measure == "params":
        sizes = {baseline.resolution}
    own = getattr(cost(baseline), budget.measure)
    for repeats, channels, pixels in product(depths, widths, sizes):
        network = with_parts(baseline, repeats=repeats, widths=channels, resolution=pixels)
        if budget.is_met_by(getattr(cost(network), budget.measure) / own):
            yield network


@pytest.mark.parametrize(
    "budget",
    [
        Budget(tolerance=0.05),
        Budget(tolerance=0.05, rounding="official"),
        Budget(tolerance=0.05, rounding="nearest", measure="params"),
        Budget(tolerance=0.02, measure="activations"),
        Budget(tolerance=0.05, smallest=0.8),
        Budget(tolerance=0.05, rounding="torchvision"),
        Budget(tolerance=0.05, rounding="lite"),
        Budget(tolerance=0.05, rounding=Rounding(depth="even", divisor=4, resolution_multiple=3)),
        Budget(factor=0.5, tolerance=0.1),
        Budget(factor=0.6, tolerance=0.1, smallest=0.8, rounding="nearest"),
    ],
    ids=lambda budget: f"{budget.measure}-{budget.factor}-{budget.rounding_name}-{budget.smallest}",
)
@pytest.mark.parametrize("baseline", [TINY, ODD], ids=["tiny", "odd"])
def test_trying_every_multiplier_finds_the_same_networks(baseline, budget):
    found = {candidate.architecture for candidate in quiet_isocost(baseline, budget)}
    assert found == set(found_by_trying(baseline, budget))
    assert found


@pytest.mark.parametrize("measure", ["macs", "params", "activations"])
@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_every_candidate_is_within_the_budget_and_none_is_there_twice(measure, factor):
    budget = Budget(measure=measure, factor=factor)
    candidates = quiet_isocost(QUARTER, budget)
    own = getattr(cost(QUARTER), measure)
    for candidate in candidates:
        assert candidate.cost == cost(candidate.architecture)
        assert candidate.factor == getattr(candidate.cost, measure) / own
        assert abs(candidate.factor / factor - 1) <= 0.02
        assert candidate.fingerprint == fingerprint(candidate.architecture)
    assert len({candidate.fingerprint for candidate in candidates}) == len(candidates)


def test_the_small_proxy_realises_all_three_pure_axes(doubled):
    for corner in CORNERS:
        nearest = nearest_candidate(doubled, corner)
        assert nearest.shares.distance(corner) < 1e-9


def test_effective_multipliers_are_those_of_the_whole_number_network(doubled):
    for candidate in doubled:
        network, by = candidate.architecture, candidate.multipliers
        assert by.depth == network.num_blocks / QUARTER.num_blocks
        assert by.resolution == network.resolution / 32
        widened = scale(QUARTER, Multipliers(width=by.width), ROUNDINGS["even"])
        assert widened.widths == network.widths
        assert candidate.shares == by.shares


def test_the_set_is_ordered_by_shares(doubled):
    ordered = sorted(doubled, key=lambda candidate: candidate.shares.as_tuple())
    assert [one.shares for one in doubled] == [one.shares for one in ordered]


def test_no_axis_moves_against_the_budget(doubled):
    for candidate in doubled:
        assert min(candidate.shares.as_tuple()) >= 0


def test_a_proxy_with_all_axes_free_gives_no_warning(recwarn):
    iso_cost_set(QUARTER, Budget())
    assert not recwarn.list


def test_a_last_feature_map_of_one_pixel_is_warned_of_with_the_remedy():
    with pytest.warns(StuckAxisWarning) as caught:
        candidates = iso_cost_set(efficientnet_b0(resolution=32), Budget())
    assert {candidate.architecture.resolution for candidate in candidates} == {32}
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith("resolution: this baseline cannot spend 2x on resolution alone")
    assert "At 32 px and stride 32 the last feature map is 1 px wide" in message
    assert "stem_stride 1" in message


def test_a_budget_no_network_meets_is_refused_with_the_nearest_factor():
    with refused(ArchitectureError) as refusal:
        quiet_isocost(TINY, Budget(factor=1.01, tolerance=0.001))
    grid = found_by_trying(TINY, Budget(factor=1.01, tolerance=0.2))
    factors = [cost(network).macs / cost(TINY).macs for network in grid]
    nearest = min(factors, key=lambda factor: abs(factor - 1.01))
    assert f"the nearest costs {nearest:.3f}x" in str(refusal.value)


# limits and bounds


def test_limits_and_bounds_keep_exactly_the_candidates_that_meet_them(doubled):
    limits = CostLimits(activations=1.6, params=2.0)
    within = Budget(limits=limits, min_resolution=33, max_resolution=40)
    own = cost(QUARTER)
    expected = {
        candidate.fingerprint
        for candidate in doubled
        if candidate.cost.activations <= 1.6 * own.activations
        and candidate.cost.params <= 2.0 * own.params
        and 33 <= candidate.architecture.resolution <= 40
    }
    assert 0 < len(expected) < len(doubled)
    assert {c.fingerprint for c in quiet_isocost(QUARTER, within)} == expected


def test_a_bound_that_holds_an_axis_back_is_named_in_the_warning():
    with pytest.warns(StuckAxisWarning) as caught:
        iso_cost_set(QUARTER, Budget(max_resolution=40))
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith("resolution: this baseline cannot spend 2x on resolution alone")
    assert "The budget also asks for at most 40 px: loosen that" in message


def test_bounds_no_network_meets_are_refused_with_what_is_near():
    with refused(ArchitectureError):
        quiet_isocost(QUARTER, Budget(limits=CostLimits(activations=1.0), tolerance=0.001))
    with refused(ArchitectureError):
        quiet_isocost(QUARTER, Budget(max_resolution=16))
    with refused(ArchitectureError):
        quiet_isocost(QUARTER, Budget(limits=CostLimits(params=0.5)))


def test_a_rounding_of_ones_own_gives_finer_networks():
    finer = Budget(rounding=Rounding(depth="even", divisor=2, minimum=4))
    coarse = {candidate.architecture.widths for candidate in quiet_isocost(QUARTER, Budget())}
    fine = {candidate.architecture.widths for candidate in quiet_isocost(QUARTER, finer)}
    assert len(fine) > 2 * len(coarse)
    assert all(width % 2 == 0 for widths in fine for width in widths)


# nominal budgets


def test_the_papers_triple_costs_two_and_a_half_times_b0():
    b0 = efficientnet_b0()
    asked = Coefficients(1.2, 1.1, 1.15).at(1)
    candidate = nominal_candidate(b0, asked, Budget(mode="nominal", rounding="official"))
    assert candidate.factor == pytest.approx(2.57, abs=0.005)
    assert candidate.architecture == scale(b0, asked, ROUNDINGS["official"])
    assert candidate.multipliers.depth == 23 / 16
    assert candidate.multipliers.resolution == 258 / 224


def test_multipliers_that_round_to_the_baseline_are_refused():
    with refused(ArchitectureError):
        nominal_candidate(QUARTER, Multipliers(width=1.0001, depth=1.001), Budget())


# nearest_candidate


def with_shares(candidate, name, *shares):
    return replace(candidate, fingerprint=name, shares=Shares(*shares))


def test_the_nearest_on_the_simplex_is_taken(doubled):
    for corner in CORNERS:
        nearest = nearest_candidate(doubled, corner)
        assert all(
            nearest.shares.distance(corner) <= other.shares.distance(corner) + 1e-9
            for other in doubled
        )


def test_what_is_excluded_is_passed_over_until_nothing_is_left(doubled):
    few = doubled[:3]
    seen = []
    while (candidate := nearest_candidate(few, CORNERS[0], excluded=seen)) is not None:
        seen.append(candidate.fingerprint)
    assert sorted(seen) == sorted(candidate.fingerprint for candidate in few)


def test_a_tie_goes_to_the_smaller_fingerprint_in_any_order(doubled):
    one = with_shares(doubled[0], "b", 0.5, 0.5, 0)
    two = with_shares(doubled[0], "a", 0.5, 0, 0.5)
    noisy = with_shares(doubled[0], "c", 0.5, 0.5 - 1e-12, 1e-12)  # nearer, by noise alone
    target = Shares(0.5, 0.25, 0.25)
    for order in ((one, two, noisy), (noisy, one, two), (two, noisy, one)):
        assert nearest_candidate(order, target).fingerprint == "a"


def test_the_baseline_is_no_candidate_where_the_tolerance_reaches_it():
    proxy = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
    found = quiet_isocost(proxy, Budget(factor=1.02, tolerance=0.05))
    assert proxy not in {candidate.architecture for candidate in found}


def test_a_factor_beyond_counting_is_refused_at_once():
    with refused(ArchitectureError):
        iso_cost_set(efficientnet_b0(), Budget(factor=1e6))


def test_resolution_is_not_called_stuck_where_it_costs_nothing(recwarn):
    iso_cost_set(efficientnet_b0(), Budget(measure="params"))
    assert not [warning for warning in recwarn if "resolution" in str(warning.message)]
