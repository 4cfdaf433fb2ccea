"""The conclusion of a search follows from its table, and says plainly what is unknown."""

import json

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.comparisons import surface_difference
from scalesearch.analysis.conclusion import conclusion
from scalesearch.analysis.conclusion_prose import network_text
from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.optimum import curved_polynomial_fits, optimum
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.errors import SearchError
from scalesearch.reporting.conclusion_files import conclusion_document
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.rounding import ROUNDINGS


@pytest.fixture
def table(whole):
    return whole(deviation=0.004)


def document(found):
    return json.loads(json.dumps(conclusion_document(found), allow_nan=False))


def test_the_leader_is_the_network_nearest_to_the_optimum_and_not_the_luckiest(table):
    found = conclusion(table, 2.0, name="x")
    best = optimum(table, 2.0)
    shares = table.drop_duplicates("candidate").set_index("candidate")
    shares = shares[["depth_share", "width_share", "resolution_share"]]
    away = np.square(shares - np.array(best.shares.as_tuple())).sum(axis=1)
    assert found.nearest_to_optimum.candidate == away.idxmin()
    lucky = table.assign(accuracy=table.accuracy + 0.03 * (table.candidate == "c008"))
    assert lucky.groupby("candidate").accuracy.mean().idxmax() == "c008"
    assert conclusion(lucky, 2.0).nearest_to_optimum.candidate != "c008"


def test_the_conclusion_agrees_with_optimum_surface_and_runs(table):
    found = conclusion(table, 2.0, name="x")
    best = optimum(table, 2.0)
    assert found.optimum.coefficient_intervals == best.coefficient_intervals
    assert found.sentence.startswith("At 2x the cost alpha ")
    for name, one in best.coefficient_intervals.items():
        assert f"{name} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" in found.sentence
    assert network_text(found.recommended) in found.sentence
    assert (found.candidates, found.seeds, found.epoch, found.cost_range) == (17, 3, 9, (2.0, 2.0))
    assert [one.reference for one in found.comparisons] == [
        "paper", "uniform", "depth", "width", "resolution", "fast",
    ]  # fmt: skip
    assert found.power.noise == pytest.approx(0.008, rel=0.3)
    others = {one.candidate for one in found.comparisons} - {found.nearest_to_optimum.candidate}
    assert found.power.comparisons == len(others)
    assert not found.has_unequal_costs


def behind(table, found):
    """How far each network of the flat region is below the optimum, on the surface."""
    fit = curved_polynomial_fits(candidate_estimates(table))[found.optimum.degree]
    rows = table.drop_duplicates("candidate").set_index("candidate")
    shares = rows[["depth_share", "width_share", "resolution_share"]]
    return {
        name: surface_difference(fit, found.optimum.shares, Shares(*shares.loc[name]))[0]
        for name in found.optimum.equivalent_candidates
    }


def test_recommended_is_the_cheapest_to_run_within_a_standard_error_of_the_best(whole):
    table = whole(noise=0.04)
    found = conclusion(table, 2.0)
    far = behind(table, found)
    near = [name for name, one in far.items() if one <= found.optimum.standard_error]
    assert 1 < len(near) < len(far)
    first = table.drop_duplicates("candidate").set_index("candidate")
    assert found.recommended.activations == first.activations[near].min()
    assert found.reason == (
        f"with the fewest activations among {len(near)} networks within one standard error of the "
        "best"
    )
    assert f"; take {network_text(found.recommended)}, {found.reason}." in found.sentence
    seconds = dict.fromkeys(first.index, 1.0)
    dear = first.activations[near].idxmax()
    chosen = conclusion(table, 2.0, latencies={**seconds, dear: 0.5})
    assert chosen.recommended.candidate == dear
    assert chosen.reason.startswith("with the lowest latency among")
    some = conclusion(table, 2.0, latencies={dear: 0.5})  # not known of all: activations decide
    assert some.recommended == found.recommended


def test_a_cheap_network_that_noise_alone_keeps_from_being_told_apart_is_not_recommended(whole):
    table = whole(noise=0.04)
    far = behind(table, conclusion(table, 2.0))
    worst = max(far, key=far.get)
    free = table.assign(activations=table.activations.where(table.candidate != worst, 1))
    found = conclusion(free, 2.0)
    assert worst in found.optimum.equivalent_candidates
    assert found.recommended.candidate != worst


def test_if_no_network_is_within_noise_the_nearest_is_recommended(whole):
    found = conclusion(whole(noise=0.0005), 2.0)
    assert found.optimum.equivalent_candidates == ()
    assert found.recommended == found.nearest_to_optimum
    (note,) = (note for note in found.notes if note.startswith("the recommended network"))
    assert "it is the nearest trained network, " in note
    assert "points below the optimum on the surface" in note


def test_a_network_in_the_flat_region_that_is_clearly_beaten_is_not_recommended(whole):
    table = whole(noise=0.02)
    cheap = conclusion(table, 2.0).nearest_to_optimum.candidate
    table = table.assign(activations=table.activations.where(table.candidate != cheap, 1))
    assert conclusion(table, 2.0).recommended.candidate == cheap
    bad = table.assign(accuracy=table.accuracy - 0.08 * (table.candidate == cheap))
    found = conclusion(bad, 2.0)
    assert cheap in found.optimum.equivalent_candidates
    assert found.recommended.candidate != cheap


def test_shares_without_effect_are_stated_as_such(whole, simulated):
    found = conclusion(whole(2, accuracy=simulated.flat), 2.0)
    assert found.optimum.p_flat > 0.1
    assert found.sentence.startswith("Shares make no significant difference (p = ")
    assert "among 17 networks of about 2x the cost with 3 seeds" in found.sentence
    assert "; take the cheapest to run, " in found.sentence
    assert not any(one.settled for one in found.comparisons)
    assert found.recommended.activations == 100


def test_one_seed_states_where_its_noise_comes_from(whole):
    found = conclusion(whole(seeds=1), 2.0)
    assert (
        "with one seed, noise is estimated from the residuals of the surface alone"
        in found.sentence
    )
    assert found.power is None
    assert {
        one.by for one in found.comparisons if one.candidate != found.nearest_to_optimum.candidate
    } == {"surface"}
    assert document(found)["power"] is None


def test_too_few_candidates_give_no_conclusion_yet(table):
    few = table[table.candidate.isin(["c000", "c004", "c014", "c015"])]
    found = conclusion(few, 2.0)
    assert found.sentence == (
        "No conclusion yet: 4 networks with 3 seeds and 9 epochs do not determine the shares with "
        "the highest accuracy."
    )
    assert (found.optimum, found.nearest_to_optimum, found.recommended, found.comparisons) == (
        (None, None, None, ())
    )
    assert found.notes[0].startswith("the optimum: need candidates that determine a quadratic")
    assert "the best of several is partly lucky" in found.notes[1]
    told = document(found)
    assert told["estimate"] is told["recommended"] is told["surface"] is told["flat"] is None
    one = conclusion(table[table.candidate == "c000"], 2.0)
    assert "1 network with 3 seeds and 9 epochs does not determine" in one.sentence


def test_unequal_costs_are_stated(table):
    factors = {name: 1.4 + 0.1 * place for place, name in enumerate(table.candidate.unique())}
    found = conclusion(table.assign(factor=table.candidate.map(factors)), 2.0)
    assert found.has_unequal_costs
    assert (
        "the networks cost 1.40x to 3.00x, so this is not a comparison at equal cost"
        in found.sentence
    )
    assert any("not a search at equal cost" in note for note in found.notes)
    assert any("times the cost)" in one.words for one in found.comparisons)


def test_stopped_candidates_are_counted_and_never_recommended(whole):
    table = whole(candidates=27, halved=True)
    found = conclusion(table, 2.0)
    finished = set(table[table.epoch == 9].candidate)
    assert (found.candidates, len(found.stopped)) == (len(finished), 27 - len(finished))
    assert {found.nearest_to_optimum.candidate, found.recommended.candidate} <= finished
    assert "of 27 networks" in found.sentence
    assert {one.candidate for one in found.stopped}.isdisjoint(finished)
    assert any(
        "stopped early; their accuracy at the end is predicted" in note for note in found.notes
    )


def test_equivalent_coefficients_belong_to_the_recommended_network(table):
    baseline = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)
    bare = conclusion(table, 2.0)
    assert bare.equivalent_coefficients is None
    first = table.candidate == bare.recommended.candidate
    realised = table.assign(
        alpha=table.alpha.where(~first, 1.25), beta=table.beta.where(~first, 1.0),
        gamma=table.gamma.where(~first, 1.125),
    )  # fmt: skip
    found = conclusion(realised, 2.0, baseline=baseline, rounding=ROUNDINGS["even"])
    assert set(found.equivalent_coefficients) == {"alpha", "beta", "gamma"}
    for name, value in (("alpha", 1.25), ("beta", 1.0), ("gamma", 1.125)):
        low, high = found.equivalent_coefficients[name]
        assert low < value < high
    assert document(found)["same_network"]["alpha"] == list(found.equivalent_coefficients["alpha"])


def test_order_of_rows_repeated_rows_and_other_columns_change_nothing(whole):
    for table in (whole(deviation=0.004), whole(candidates=27, halved=True)):
        other = pd.concat([table, table]).sample(frac=1, random_state=1).assign(note="x")
        other = other[sorted(other.columns)]
        assert document(conclusion(table, 2.0)) == document(conclusion(other, 2.0))


def test_missing_and_non_finite_values_are_refused(table):
    holed = table.assign(accuracy=table.accuracy.where(table.candidate != "c003"))
    with refused(SearchError):
        conclusion(holed, 2.0)
    with refused(SearchError):
        conclusion(table, 2.0, epochs=12)
    with refused(SearchError):
        conclusion(table[:0], 2.0)


def test_one_accuracy_moved_by_one_standard_error_leaves_the_answer_in_its_interval(whole):
    """Of any candidate, either way, in several searches."""
    for seed in range(3):
        table = whole(seed, deviation=0.004)
        found = optimum(table, 2.0)
        for name in table.candidate.unique()[::4]:
            for way in (-1, 1):
                step = way * 0.008 / 3**0.5
                moved = table.assign(accuracy=table.accuracy + step * (table.candidate == name))
                new = optimum(moved, 2.0)
                for axis, interval in found.share_intervals.items():
                    value = getattr(new.shares, axis)
                    assert interval.low - 1e-6 <= value <= interval.high + 1e-6, (seed, name, axis)


def test_a_missing_value_in_one_run_is_not_the_same_as_a_missing_run(table):
    gone = table[~((table.candidate == "c003") & (table.seed == 2))]
    found = conclusion(gone, 2.0)
    assert found.candidates == 17
    assert found.optimum.shares.distance(Shares(0.3, 0.3, 0.4)) < 0.2
