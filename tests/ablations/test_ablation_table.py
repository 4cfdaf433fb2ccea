"""An ablation's table: our results, the paper's, and the comparisons."""

import math

import pandas as pd
import pytest
from ablation_records import by_cost, recorded

from scalesearch.ablations.ablation_prose import sentences, table_rows
from scalesearch.ablations.ablation_table import ablation_rows, rows_to_table
from scalesearch.ablations.curves import curve_comparisons, series_gains
from scalesearch.ablations.spec import read_ablation


@pytest.fixture(scope="module")
def table7():
    ablation = read_ablation("table7", "small")
    return ablation, recorded(ablation)


def by_name(found):
    return {row.point: row for row in found}


def test_table_7_has_our_count_of_the_paper_s_networks(table7):
    found = by_name(ablation_rows(*table7))
    recounted = {name: round(row.recounted_macs / 1e9, 3) for name, row in found.items()}
    assert recounted == {
        "base": 0.386, "depth": 1.575, "width": 1.45, "resolution": 1.538, "compound": 1.827,
    }  # fmt: skip
    printed = {name: (row.paper_macs, row.paper_accuracy) for name, row in found.items()}
    assert printed["compound"] == (1.8e9, 0.811)
    assert printed["base"] == (0.4e9, 0.773)


def test_the_paper_seems_to_exchange_resnet_50_s_depth_and_width():
    ablation = read_ablation("table3", "small", ["baselines={resnet50: {}}"])
    found = by_name(ablation_rows(ablation, recorded(ablation)))
    assert found["depth"].recounted_macs == pytest.approx(found["width"].paper_macs, rel=0.02)
    assert found["width"].recounted_macs == pytest.approx(found["depth"].paper_macs, rel=0.02)


def test_nominal_and_realised_costs_are_listed(table7):
    compound = by_name(ablation_rows(*table7))["compound"]
    assert compound.asked_factor == pytest.approx(1.4 * 1.2**2 * 1.3**2)
    assert compound.factor == pytest.approx(3.90, abs=0.01)
    assert (compound.depth, compound.pixels) == (1.7, 42)


def test_a_lead_is_paired_by_seed_and_covers_the_truth(table7):
    found = by_name(ablation_rows(*table7))
    for name in ("depth", "width", "resolution"):
        row = found[name]
        true = by_cost()("", found["compound"].factor) - by_cost()("", row.factor)
        assert row.lead == pytest.approx(true, abs=0.008)
        assert row.lead_high - row.lead_low < 0.015  # seeds move all alike by ten times the noise
        assert row.p <= row.p_corrected
    assert found["base"].lead is None
    assert found["compound"].lead is None


def test_matched_networks_are_compared_with_those_of_their_factor():
    ablation = read_ablation("matched8", "small", ["series.uniform=null"])
    better = recorded(
        ablation, lambda point, factor: by_cost()(point, factor) + 0.05 * ("width" in point)
    )
    found = ablation_rows(ablation, better)
    compared = {row.point for row in found if row.lead is not None}
    assert compared == {f"{s} {f}x" for s in ("depth", "width", "resolution") for f in (2, 4, 8)}
    for row in found:
        assert row.factor == pytest.approx(row.asked_factor, rel=0.03)
    width = by_name(found)["width 4x"]
    assert width.lead == pytest.approx(-0.05, abs=0.01)
    assert width.p_corrected < 0.01
    told = next(line for line in sentences(ablation, found, (), ()) if "over width 4x" in line)
    assert told.endswith("behind, against the paper")


def test_a_network_that_stands_in_for_a_direction_is_mentioned():
    ablation = read_ablation("matched8", "smoke")
    found = ablation_rows(ablation, recorded(ablation))
    far = by_name(found)["resolution 2x"]
    assert far.deviation > 0.3
    told = [
        line for line in sentences(ablation, found, (), ()) if "stand" in line or "away" in line
    ]
    assert any(line.startswith("resolution 2x: no network costs so much") for line in told)
    assert not any(line.startswith("width 2x") for line in told)


def test_order_and_duplicates_of_records_change_nothing(table7):
    ablation, records = table7
    name, own = next(iter(records.items()))
    shuffled = pd.concat([own.sample(frac=1, random_state=1), own.iloc[:4]])
    pd.testing.assert_frame_equal(
        rows_to_table(ablation_rows(ablation, {name: shuffled})),
        rows_to_table(ablation_rows(ablation, records)),
    )


def test_one_seed_has_no_interval_and_no_comparison():
    ablation = read_ablation("table7", "small")
    found = ablation_rows(ablation, recorded(ablation, seeds=1))
    assert all(row.low is None and row.lead is None and row.seeds == 1 for row in found)
    told = sentences(ablation, found, (), ())
    assert "no comparison: needs two seeds" in told[0]


def test_a_network_that_has_failed_is_left_out(table7):
    ablation, records = table7
    name, own = next(iter(records.items()))
    found = ablation_rows(ablation, {name: own[own["cell"] != "width"]})
    assert [row.point for row in found] == ["base", "depth", "resolution", "compound"]


def test_gains_are_of_the_realised_cost():
    ablation = read_ablation("figure3", "small")
    records = recorded(ablation)
    for gain in series_gains(ablation_rows(ablation, records), records):
        assert gain.first == pytest.approx(0.03, abs=0.01)
        assert gain.low < 0.03 * _doublings(gain) < gain.high
    assert {gain.series for gain in series_gains(ablation_rows(ablation, records), records)} == {
        "width", "depth", "resolution",
    }  # fmt: skip


def test_curves_are_compared_at_equal_realised_cost():
    ablation = read_ablation("figure8", "small")
    found = recorded(ablation, noise=0.0001)
    leads = {
        one.series: one
        for one in curve_comparisons(ablation, ablation_rows(ablation, found), found)
    }
    assert set(leads) == {"depth", "width", "resolution"}
    for one in leads.values():  # accuracy is by cost alone: no curve is above another
        assert one.lead == pytest.approx(0, abs=5e-4)
        assert one.low_factor == 1
    better = recorded(
        ablation, lambda point, f: by_cost()(point, f) + 0.02 * ("depth" in point and f > 1),
    )  # fmt: skip
    depth = {
        one.series: one
        for one in curve_comparisons(ablation, ablation_rows(ablation, better), better)
    }["depth"]
    assert depth.lead < 0
    assert depth.p_corrected < 0.1


def test_sentences_mention_unequal_costs_and_misprints(table7):
    ablation, records = table7
    told = sentences(
        ablation, ablation_rows(*table7), series_gains(ablation_rows(*table7), records), ()
    )
    text = "\n".join(told)
    assert "compound over width" in text
    assert "at 1.61x its cost" in text
    assert "width: the paper prints 1.8 billion multiply-adds, and the network has 1.45" in text
    assert "(+2.1 there, on ImageNet)" in text
    assert told[-1].startswith("this size: CIFAR-10 images, which hold 32 pixels")


def test_the_printed_table_has_the_paper_s_values_beside_ours(table7):
    printed = table_rows(ablation_rows(*table7))[-1]
    assert (printed["nominal"], printed["realised"]) == ("3.41x", "3.90x")
    assert (printed["paper"], printed["its FLOPs"], printed["recounted"]) == (
        "81.1%", "1.8G", "1.83G",
    )  # fmt: skip


def _doublings(gain):
    return math.log2(gain.high_factor / gain.low_factor)
