"""The numbers of an ablation's figures, and that what is drawn says them."""

import itertools

import pandas as pd
import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.ablation_figures import (
    ablation_bars,
    ablation_costs_figure,
    ablation_curves,
    ablation_curves_figure,
    ablation_panels_figure,
    ablation_rows_figure,
    count_with_unit,
    spread_labels,
)

COLUMNS = ["series", "point", "candidate", "factor", "params", "macs", "accuracy", "low", "high"]
POINTS = [
    ("depth", "depth 1", "aa", 1.0, 1e5, 1e6, 0.30, 0.29, 0.31),
    ("depth", "depth 3", "cc", 3.0, 3e5, 3e6, 0.34, 0.33, 0.35),
    ("depth", "depth 2", "bb", 2.0, 2e5, 2e6, 0.33, 0.32, 0.34),
    ("compound", "compound 1x", "aa", 1.0, 1e5, 1e6, 0.30, 0.29, 0.31),
    ("compound", "compound 2x", "dd", 2.1, 1.5e5, 2.1e6, 0.36, None, None),
]


@pytest.fixture
def table():
    frame = pd.DataFrame(POINTS, columns=COLUMNS)
    frame["baseline"] = "efficientnet_b0"
    frame["paper_accuracy"] = [0.773, 0.790, None, 0.773, 0.811]
    frame["recounted_macs"] = [386e6, 1575e6, None, 386e6, 1827e6]
    return frame


def test_curves_rise_by_cost_and_points_are_named_by_what_differs(table):
    depth, compound = ablation_curves(table, against="compound")
    assert depth.x == (1.0, 2.0, 3.0)
    assert depth.names == ("1", "2", "3")
    assert depth.y == (0.30, 0.33, 0.34)
    assert (depth.is_reference, compound.is_reference) == (False, True)
    assert compound.names == ("1", "2")


def test_what_has_no_interval_has_no_band(table):
    compound = ablation_curves(table)[1]
    assert compound.low[1] == compound.y[1] == compound.high[1]
    assert compound.low[0] == 0.29


def test_a_network_that_is_twice_in_a_series_is_one_point(table):
    twice = pd.concat([table, table.iloc[[2]]])
    assert ablation_curves(twice)[0].x == (1.0, 2.0, 3.0)


def test_costs_may_be_parameters(table):
    assert ablation_curves(table, "params")[1].x == (1e5, 1.5e5)


def test_rows_tell_both_costs_over_the_baselines_own(table):
    found = ablation_bars(table, "compound")
    assert found[1].cost == 3.0
    assert found[1].paper_cost == pytest.approx(1575 / 386)
    assert found[2].paper_accuracy is None
    assert found[2].paper_cost is None
    assert found[4].low == found[4].accuracy
    assert [bar.is_reference for bar in found] == [False, False, False, True, True]


def test_labels_keep_apart_and_no_farther_from_their_place_than_that_asks_for():
    assert spread_labels([0.5, 0.5, 0.9], 0.1) == pytest.approx([0.45, 0.55, 0.9])
    assert spread_labels([0.9, 0.1], 0.1) == [0.9, 0.1]
    moved = spread_labels([0.1, 0.12, 0.11, 0.4], 0.1)
    assert sorted(moved)[:3] == pytest.approx([0.01, 0.11, 0.21])
    assert moved[0] < moved[2] < moved[1]
    assert spread_labels([], 0.1) == []


def test_labels_that_are_pushed_into_others_push_them_on():
    moved = spread_labels([0.0, 0.02, 0.11], 0.1)
    gaps = [b - a for a, b in itertools.pairwise(moved)]
    assert min(gaps) == pytest.approx(0.1)
    assert sum(moved) == pytest.approx(0.13)


def test_counts_are_short():
    assert [count_with_unit(value) for value in (5e9, 2.5e6, 2e5, 20)] == [
        "5G",
        "2.5M",
        "200k",
        "20",
    ]


def test_curves_are_named_at_their_ends(table):
    axes = ablation_curves_figure(ablation_curves(table, against="compound"), "Ways").axes[0]
    names = {text.get_text(): text for text in axes.texts}
    assert set(names) == {"depth", "compound"}
    assert names["compound"].get_fontweight() == "bold"
    assert "realised cost" in axes.get_xlabel()


def test_panels_name_every_point(table):
    drawn = ablation_panels_figure(ablation_curves(table), "Axes")
    assert [text.get_text() for text in drawn.axes[0].texts] == ["1", "2", "3"]
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()


def test_costs_have_two_panels_on_one_scale(table):
    parameters, flops = ablation_costs_figure(table, "compound", "Family").axes
    assert (parameters.get_xlabel(), flops.get_xlabel()) == (
        "parameters", "FLOPs (multiply-adds)",
    )  # fmt: skip
    assert parameters.get_ylim() == flops.get_ylim()


def test_rows_are_beside_the_papers(table):
    here, there = ablation_rows_figure(ablation_bars(table, "compound"), "Table").axes
    assert [label.get_text() for label in here.get_yticklabels()][:3] == ["depth"] * 3
    assert [text.get_text() for text in here.texts][1] == "3.00x"
    assert len(there.texts) == 4


def test_an_empty_table_is_refused(table):
    with refused(SearchError):
        ablation_curves(table.iloc[:0])
    with refused(SearchError):
        ablation_bars(table.iloc[:0])
