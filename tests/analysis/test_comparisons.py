"""Comparisons with references: paired, corrected, and worded plainly."""

import numpy as np
import pytest

from scalesearch.analysis.comparisons import (
    MAX_FURTHER_SEEDS,
    ComparisonSide,
    comparisons,
    holm_correction,
    p_value_of_lead,
    selection_bias,
)
from scalesearch.analysis.conclusion import conclusion
from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.optimum import curved_polynomial_fits
from scalesearch.analysis.paired import paired_difference, paired_noise
from scalesearch.analysis.statistical_power import seeds_needed
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.published import SCHEMES


def runs(means, seeds=4, noise=0.004, seed=0):
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.02, seeds)
    return {
        name: dict(enumerate(mean + common + random.normal(0, noise, seeds)))
        for name, mean in means.items()
    }


def sides(means, factor=2.0):
    return {name: ComparisonSide(name, Shares(0.2, 0.3, 0.5), factor) for name in means}


def test_the_smallest_p_value_is_corrected_most_and_the_order_stays():
    assert holm_correction([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_correction([0.9, 0.8]) == [1.0, 1.0]
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_correction([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm_correction([]) == []


def test_without_selection_bias_a_comparison_is_the_paired_one_with_corrected_p():
    means = {"a": 0.70, "b": 0.69, "c": 0.66, "d": 0.695}
    table, who = runs(means), sides(means)
    found = comparisons(who["a"], {name: who[name] for name in "bcd"}, table, None)
    plain = {name: paired_difference(table, "a", name) for name in "bcd"}
    for one in found:
        other = plain[one.candidate]
        assert (one.by, one.seeds) == ("runs", 4)
        assert (one.difference, one.low, one.high) == (other.mean, other.low, other.high)
        assert one.p == pytest.approx(other.p)
    assert [one.p_corrected for one in found] == pytest.approx(
        holm_correction([one.p for one in found])
    )


def test_words_state_the_leader_the_significance_and_the_seeds_needed():
    means = {"a": 0.70, "worse": 0.60, "close": 0.7025, "equal": 0.70, "better": 0.78}
    table, who = runs(means), sides(means)
    who["worse"] = ComparisonSide("worse", who["worse"].shares, 2.6)
    found = {
        one.reference: one
        for one in comparisons(who["a"], {**who, "itself": who["a"]}, table, None)
    }
    worse = found["worse"]
    assert worse.settled
    assert worse.further_seeds is None
    reach = 100 * (worse.high - worse.low) / 2
    assert worse.words == (
        f"beats worse (at 1.30 times the cost) by {100 * worse.difference:.1f} +-{reach:.1f} points"
    )
    assert found["better"].words.startswith("loses to better by ")
    close = found["close"]
    assert not close.settled
    assert f"(not significant; {close.further_seeds} more seed" in close.words
    noise = paired_noise(table).variance ** 0.5
    needed = seeds_needed(close.difference, noise, 5, level=0.1 / 4)
    assert close.further_seeds == needed - 4
    assert found["itself"].words == "is itself the network of itself"
    assert found["itself"].p_corrected == 1.0
    assert found["itself"].further_seeds is None


def test_a_tiny_difference_names_the_largest_number_of_seeds():
    table = runs({"a": 0.7, "b": 0.6}, noise=0.01)
    table["c"] = {seed: value - 1e-5 for seed, value in table["a"].items()}
    (one,) = comparisons(
        ComparisonSide("a", Shares(1, 0, 0), 2.0),
        {"c": ComparisonSide("c", Shares(0, 1, 0), 2.0)},
        table,
        None,
    )
    assert one.further_seeds == MAX_FURTHER_SEEDS
    assert "showing so small a difference takes 100 more seeds or more" in one.words


def test_a_stand_in_network_is_named_with_its_distance():
    table = runs({"a": 0.7, "b": 0.6})
    own = ComparisonSide("a", Shares(0.5, 0.5, 0.0), 2.0)
    both = {
        "resolution": ComparisonSide("a", own.shares, 2.0, distance=1.22),
        "fast": ComparisonSide("b", Shares(0.3, 0.7, 0.0), 2.0, distance=0.3),
        "depth": ComparisonSide("b", Shares(1.0, 0.0, 0.0), 2.0, distance=0.05),
    }
    said = [one.words for one in comparisons(own, both, table, None)]
    assert said[0] == "is itself the network of resolution (1.22 away in shares)"
    assert said[1].startswith("beats fast (nearest network, 0.30 away in shares) by 1")
    assert said[2].startswith("beats depth by 1")


def test_two_references_with_one_network_count_as_one_comparison():
    table = runs({"a": 0.7, "b": 0.693, "c": 0.6})
    who = sides(table)
    twice = comparisons(who["a"], {"x": who["b"], "y": who["b"], "c": who["c"]}, table, None)
    once = comparisons(who["a"], {"x": who["b"], "c": who["c"]}, table, None)
    assert twice[0].p_corrected == twice[1].p_corrected == once[0].p_corrected


def test_a_reference_that_was_not_trained_to_the_end_is_compared_on_the_surface(whole):
    table = whole(noise=0.004)
    left = table[table.role != "depth"]
    concluded = conclusion(left, 2.0)
    found = {one.reference: one for one in concluded.comparisons}
    depth = found["depth"]
    assert (depth.by, depth.candidate, depth.seeds) == ("surface", None, 0)
    assert depth.cost is None
    assert depth.further_seeds is None
    truth = {name: one.shares for name, one in SCHEMES.items()}
    best = concluded.nearest_to_optimum.shares
    fit = curved_polynomial_fits(candidate_estimates(left))[concluded.optimum.degree]
    mean, _ = fit.predict(np.array([best.as_tuple(), truth["depth"].as_tuple()]))
    assert depth.difference == pytest.approx(mean[0] - mean[1])
    assert depth.settled
    assert "on the fitted surface" in depth.words
    assert {one.by for name, one in found.items() if name not in ("depth", "fast")} == {"runs"}


def test_an_axis_that_no_candidate_scales_is_not_compared_on_the_surface(whole):
    table = whole()
    edge = table.assign(depth_share=table.depth_share + table.width_share, width_share=0.0)
    edge = edge[edge.role != "width"]
    found = conclusion(edge, 2.0)
    assert "width" not in {one.reference for one in found.comparisons}
    assert any("no network was trained: fast" in note for note in found.notes)


def test_p_values_allow_for_the_lead_that_selection_gives(simulated):
    assert p_value_of_lead(2.0, 30, 0.0) == pytest.approx(0.0546, abs=1e-3)
    assert p_value_of_lead(2.0, 30, 0.8) > 0.11
    assert p_value_of_lead(-2.0, 30, 0.8) == p_value_of_lead(2.0, 30, 0.8)
    table = simulated.records(simulated.Case(simulated.flat), np.random.default_rng(0))
    observed = candidate_estimates(table)
    fits = curved_polynomial_fits(observed)
    fit = min(fits.values(), key=lambda one: one.error)
    every = observed.candidates
    corner = selection_bias(observed, fits, fit, "c000", every)
    assert corner.expected_lead("c014") > 0.5
    assert corner.expected_lead_at(Shares(1, 0, 0)) > 0.5
    assert corner.expected_lead_at(Shares(*map(float, observed.shares[0]))) == 0.0


@pytest.mark.slow
def test_the_false_positive_rate_of_equal_candidates_is_at_most_the_level(whole, simulated):
    """Without allowing for the choice it is one in six; of the highest mean, one in three."""
    significant = {"runs": [], "surface": []}
    for seed in range(60):
        table = whole(seed, accuracy=simulated.flat)
        for kind, rows in (("runs", table), ("surface", table[table.seed == 0])):
            told = conclusion(rows, 2.0).comparisons
            significant[kind].append(any(one.settled for one in told if one.by == kind))
    assert np.mean(significant["runs"]) <= 0.13
    assert np.mean(significant["surface"]) <= 0.15
