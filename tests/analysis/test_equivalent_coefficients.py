"""Intervals of equivalent coefficients: inside gives the network, outside another."""

import pytest

from scalesearch.analysis.equivalent_coefficients import equivalent_coefficients
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.iso_cost import iso_cost_set, nominal_candidate
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1, num_classes=10)
AXES = {"alpha": "depth", "beta": "width", "gamma": "resolution"}


def part(network, axis):
    return {"depth": network.repeats, "width": network.widths, "resolution": network.resolution}[
        axis
    ]


def made(multipliers, budget):
    return nominal_candidate(PROXY, multipliers, budget).architecture


@pytest.mark.filterwarnings("ignore::scalesearch.candidates.iso_cost.StuckAxisWarning")
@pytest.mark.parametrize("rounding", ["even", "nearest", "official"])
def test_what_lies_within_is_the_same_network_and_what_lies_beyond_is_not(rounding):
    budget = Budget(rounding=rounding)
    found = iso_cost_set(PROXY, budget)
    for candidate in found[:: len(found) // 12]:
        told = equivalent_coefficients(PROXY, budget.rounding_profile, candidate.multipliers)
        for name, axis in AXES.items():
            low, high = told[name]
            own = part(candidate.architecture, axis)
            wide = {"depth": 1.5, "width": 1.5, "resolution": 1.5}
            for at in (low + 1e-6, (low + high) / 2, high - 1e-6):
                assert part(made(Multipliers(**{**wide, axis: at}), budget), axis) == own
            for at in (low - 1e-3, high + 1e-3):
                assert part(made(Multipliers(**{**wide, axis: at}), budget), axis) != own


def test_under_the_official_rounding_all_alphas_up_to_a_quarter_more_are_one_depth():
    told = equivalent_coefficients(
        efficientnet_b0(), ROUNDINGS["official"], Multipliers(23 / 16, 1.0, 1.0)
    )
    assert told["alpha"] == pytest.approx((1.0, 1.25))
    assert told["gamma"] == pytest.approx((223.5 / 224, 224.5 / 224))


def test_a_multiplier_that_no_coefficient_gives_has_no_interval():
    told = equivalent_coefficients(PROXY, ROUNDINGS["even"], Multipliers(1.03, 1.0, 1.01))
    assert set(told) == {"beta"}
