import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.errors import ArchitectureError
from scalesearch.families.solution import (
    Target,
    format_count,
    parse_coefficients,
    parse_target,
    solution_rows,
    solve,
    solve_document,
)
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.published import PAPER_COEFFICIENTS, SCHEMES
from scalesearch.scaling.rounding import ROUNDINGS, Rounding

B0 = efficientnet_b0()
MEASURES = ("macs", "params", "activations")
bases = st.floats(1.03, 1.6)
directions = st.builds(Coefficients, bases, bases, bases)
some_profiles = st.sampled_from(["official", "even", "nearest", "efficientnetv2"])


def measured(stair, measure):
    return getattr(stair.cost, measure)


@settings(max_examples=40)
@given(directions, some_profiles, st.sampled_from(MEASURES), st.floats(0.3, 6))
def test_the_nearest_stair_lies_between_its_neighbours_and_around_the_target(
    coefficients, profile, measure, factor
):
    target = Target(measure, factor * getattr(cost(B0), measure))
    found = solve(B0, coefficients, target, profile)
    low, here, high = (measured(s, measure) for s in (found.smaller, found.nearest, found.larger))
    assert low < here < high
    assert low <= target.value <= high
    ratios = [max(x / target.value, target.value / x) for x in (low, here, high)]
    assert ratios[1] == min(ratios)
    assert found.deviation == pytest.approx(here / target.value - 1)


@settings(max_examples=30)
@given(directions, some_profiles, st.sampled_from(MEASURES), st.floats(0.3, 6))
def test_stairs_touch_and_every_phi_within_one_costs_the_same(
    coefficients, profile, measure, factor
):
    target = Target(measure, factor * getattr(cost(B0), measure))
    found = solve(B0, coefficients, target, profile)
    stairs = (found.smaller, found.nearest, found.larger)
    for below, above in pairwise(stairs):
        assert above.phi_low - below.phi_high == pytest.approx(0, abs=3e-7)
    for stair in stairs:
        for part in (0.01, 0.5, 0.99):
            phi = stair.phi_low + (stair.phi_high - stair.phi_low) * part
            if stair.phi_high - stair.phi_low > 1e-5:
                network = scale(B0, coefficients.at(phi), ROUNDINGS[profile])
                assert getattr(cost(network), measure) == measured(stair, measure)
        assert stair.architecture == scale(B0, coefficients.at(stair.phi), ROUNDINGS[profile])
        assert stair.multipliers == coefficients.at(stair.phi)


def test_no_network_along_the_direction_is_passed_over():
    met = {
        cost(scale(B0, PAPER_COEFFICIENTS.at(i / 5000), ROUNDINGS["even"])).macs
        for i in range(2500, 5001)
    }
    found = solve(B0, PAPER_COEFFICIENTS, Target("macs", 7e8), "even")
    ordered = sorted(met)
    at = ordered.index(found.nearest.cost.macs)
    assert ordered[at - 1] == found.smaller.cost.macs
    assert ordered[at + 1] == found.larger.cost.macs


@pytest.mark.parametrize("measure", MEASURES)
def test_the_baselines_own_cost_is_phi_zero(measure):
    found = solve(B0, PAPER_COEFFICIENTS, Target(measure, getattr(cost(B0), measure)))
    assert found.nearest.phi == 0
    assert found.nearest.architecture == B0
    assert found.nearest.factor == 1
    assert (found.deviation, found.is_within_tolerance) == (0, True)
    assert found.smaller.phi < 0 < found.larger.phi


def test_a_single_point_of_phi_may_be_a_network():
    halves = Coefficients(1.5, 1.5, 1.5)  # at phi = 1 channels round up, and stages not yet
    at_one = scale(B0, halves.at(1), ROUNDINGS["official"])
    found = solve(B0, halves, Target("activations", cost(at_one).activations))
    assert found.nearest.architecture == at_one
    assert (found.nearest.phi_low, found.nearest.phi, found.nearest.phi_high) == (1, 1, 1)


def test_a_step_of_float_noise_is_no_network():
    larger = solve(B0, PAPER_COEFFICIENTS, Target("macs", cost(B0).macs)).larger
    assert larger.phi_high - larger.phi_low > 1e-3
    assert larger.architecture.repeats == (2, 3, 3, 4, 4, 5, 2)


def test_a_smaller_network_has_a_negative_fractional_phi():
    found = solve(B0, PAPER_COEFFICIENTS, parse_target("macs=100M"))
    assert -3.2 < found.nearest.phi < -3
    assert abs(found.deviation) < 0.02
    assert found.nearest.architecture.resolution < 224


def test_the_answer_is_a_json_document_with_a_sentence():
    document = json.loads(json.dumps(solve_document(B0, PAPER_COEFFICIENTS, "macs=1.0G")))
    assert document["meets"]
    assert document["message"] == "phi 1.035: 993.8M macs, -0.6% from 1G"
    assert document["target"] == {"measure": "macs", "value": 1e9}
    assert document["rounding"] == "official"
    assert [row[""] for row in solution_rows(document)] == ["smaller", "network", "larger"]
    assert document["network"]["macs"] == 993797968
    low, high = document["network"]["phi_interval"]
    assert low < document["phi"] < high


def test_a_target_between_two_stairs_is_answered_with_what_is_nearest():
    document = solve_document(B0, PAPER_COEFFICIENTS, "params=10M")
    assert not document["meets"]
    assert document["message"] == (
        "no network along these coefficients has 10M params within 2%; the nearest is phi 1.215: "
        "9.682M params (-3.2%); beside it 9.671M at phi 1.177 and 10.42M at phi 1.244"
    )


def test_a_rounding_of_ones_own_is_followed_and_told():
    document = solve_document(B0, PAPER_COEFFICIENTS, "macs=1G", Rounding(depth="even", divisor=2))
    assert document["rounding"] == {"profile": "even", "divisor": 2}
    assert abs(document["deviation"]) < 0.006


@pytest.mark.parametrize(
    ("coefficients", "target"),
    [
        (Coefficients(1, 1, 1.2), "params=10M"),
        (Coefficients(1, 1, 1.2), "macs=5G"),
        (PAPER_COEFFICIENTS, "macs=1K"),
        (PAPER_COEFFICIENTS, "params=1"),
    ],
)
def test_a_target_beyond_the_direction_names_its_last_network(coefficients, target):
    with refused(ArchitectureError):
        solve(B0, coefficients, parse_target(target), "efficientnetv2")


@pytest.mark.parametrize("bad", [Coefficients(1, 1, 1), Coefficients(0.9, 1.2, 1.2)])
def test_coefficients_along_which_cost_does_not_rise_are_refused(bad):
    with refused(ArchitectureError):
        solve(B0, bad, Target("macs", 1e9))


# What is asked


@pytest.mark.parametrize(
    ("text", "measure", "value"),
    [
        ("macs=1.0G", "macs", 1e9),
        ("params=10M", "params", 1e7),
        ("params = 10 m", "params", 1e7),
        ("activations=6.7e6", "activations", 6.7e6),
        ("macs=400000k", "macs", 4e8),
        ("params=1B", "params", 1e9),
        ("macs=.5T", "macs", 5e11),
        ("latency=5ms", "latency", 5e-3),
        ("latency=0.25 s", "latency", 0.25),
        ("latency=800us", "latency", 8e-4),
    ],
)
def test_a_target_is_a_measure_and_an_amount(text, measure, value):
    assert parse_target(text) == Target(measure, value)


@pytest.mark.parametrize(
    "text",
    [
        "1.0G",
        "flops=1G",
        "time=5ms",
        "latency=5",
        "latency=5m",
        "latency=0ms",
        "macs=1.0X",
        "macs=-1G",
        "macs=",
        "macs=0",
        "macs=1e999",
    ],
)
def test_a_target_that_cannot_be_read_is_refused_with_the_rule(text):
    with refused(ArchitectureError):
        parse_target(text)


def test_quantities_are_written_as_people_write_them():
    amounts = (7, 999.96, 27170, 5.289e6, 385814752, 1e9, 2.5e12, 9e15)
    assert [format_count(amount) for amount in amounts] == [
        *("7", "1K", "27.17K", "5.289M", "385.8M", "1G", "2.5T", "9P")
    ]


def test_a_direction_is_a_scheme_or_three_numbers():
    assert parse_coefficients("paper") == PAPER_COEFFICIENTS
    assert parse_coefficients("1.2, 1.1,1.15") == PAPER_COEFFICIENTS
    assert parse_coefficients("fast") == SCHEMES["fast"].coefficients(2.0)
    for bad in ("1.2,1.1", "papre", "1,2,-3"):
        with refused(ArchitectureError):
            parse_coefficients(bad)
