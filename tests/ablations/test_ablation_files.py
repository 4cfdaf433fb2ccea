"""The files of ablations; their full size is the paper's."""

import pytest
from refusals import refused

from scalesearch.ablations.spec import (
    ablation_experiments,
    ablation_names,
    ablation_points,
    read_ablation,
)
from scalesearch.errors import ExperimentError
from scalesearch.scaling.coefficients import Multipliers, Shares
from scalesearch.scaling.published import PAPER_COEFFICIENTS, TABLE_3, TABLE_7

ALL = ("figure1", "figure3", "figure4", "figure8", "matched8", "table3", "table7")

FIGURE_3: dict[str, tuple[float, ...]] = {
    "width": (1.0, 1.4, 1.8, 2.6, 3.8, 5.0),
    "depth": (1.0, 2.0, 3.0, 4.0, 6.0, 8.0),
    "resolution": (1.0, 1.3, 1.5, 1.7, 1.9, 2.2, 2.5),
}
"""B0 along one axis at a time: the labelled multipliers. Accuracies (75 to 81%) are only drawn."""

FIGURE_4: tuple[Multipliers, ...] = (
    Multipliers(1.0, 1.0, 1.0),
    Multipliers(1.0, 1.0, 1.3),
    Multipliers(2.0, 1.0, 1.0),
    Multipliers(2.0, 1.0, 1.3),
)
"""Starts of the four curves of growing width. The widths on them are not printed; accuracies (76
to 82%) are only drawn. The legend and caption say 1.3 (299 pixels) where section 3.3 says 2.0.
"""

FIGURE_8: dict[str, Shares] = {
    "width": Shares(0.0, 1.0, 0.0),
    "depth": Shares(1.0, 0.0, 0.0),
    "resolution": Shares(0.0, 0.0, 1.0),
    "compound": PAPER_COEFFICIENTS.shares,
}
"""Four ways to scale B0, drawn up to 5 billion multiply-adds and 75 to 83%, no point printed."""


def test_all_ablations_are_listed():
    assert ablation_names() == ALL


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", ["smoke", "small", "full"])
def test_every_file_is_a_search_of_points_at_every_size(name, size):
    ablation = read_ablation(name, size)
    assert ablation.name == name
    assert ablation.size == size
    assert bool(ablation.limits) == (size != "full")
    for experiment in ablation_experiments(ablation).values():
        assert experiment.search.sampler == "points"
        assert len(experiment.search.points) >= 5


def test_full_figure_3_has_the_points_of_the_paper():
    series = {one.name: getattr(one, one.name) for one in read_ablation("figure3").series}
    assert series == FIGURE_3


def test_full_figure_4_begins_where_the_paper_s_curves_begin():
    ablation = read_ablation("figure4")
    first = [next(p for p in _points(ablation) if p.series == s.name) for s in ablation.series]
    assert tuple(point.nominal_multipliers for point in first) == FIGURE_4


def test_full_figure_8_has_the_paper_s_four_directions():
    asked = {
        p.series: p.nominal_multipliers for p in _points(read_ablation("figure8")) if p.factor == 2
    }
    assert asked == {name: shares.coefficients(2).at(1) for name, shares in FIGURE_8.items()}


@pytest.mark.parametrize(("name", "rows"), [("table3", TABLE_3), ("table7", TABLE_7)])
def test_the_full_tables_have_the_paper_s_rows(name, rows):
    ablation = read_ablation(name)
    asked = {(p.baseline, p.nominal_multipliers) for p in _points(ablation)}
    compound = Multipliers(1.4, 1.2, 1.3)
    assert {(row.baseline, row.multipliers or compound) for row in rows} <= asked


def test_full_networks_are_those_of_the_paper():
    for name in ALL:
        ablation = read_ablation(name)
        assert ablation.baseline == {}
        assert ablation.recipe == {"preset": "paper"}


def test_a_value_may_be_overridden_and_a_series_left_out():
    ablation = read_ablation(
        "figure3", "smoke", ["seeds=5", "series.depth=null", "data.source=cifar10"]
    )
    assert ablation.seeds == 5
    assert [series.name for series in ablation.series] == ["width", "resolution"]
    assert ablation.data["source"] == "cifar10"


def test_an_unknown_name_or_size_gets_a_suggestion():
    with refused(ExperimentError):
        read_ablation("figure33")
    with refused(ExperimentError):
        read_ablation("figure3", "smal")


@pytest.mark.parametrize(
    "series",
    [
        {"width": [1, 2], "depth": [1, 2, 3]},
        {"width": -1},
        {"along": "paper"},
        {"along": "paper", "factors": [2], "width": 2},
        {"factors": [2]},
        {"widht": 2},
    ],
)
def test_an_invalid_series_is_refused(tmp_path, series):
    path = tmp_path / "own.yaml"
    path.write_text(f"{{name: own, title: t, source: s, figure: rows, series: {{odd: {series}}}}}")
    with refused(ExperimentError):
        read_ablation(str(path))


@pytest.mark.parametrize(
    "sizes",
    [
        "[smoke]",
        "{smoke: 3}",
    ],
)
def test_invalid_sizes_are_refused(tmp_path, sizes):
    path = tmp_path / "own.yaml"
    path.write_text(
        f"{{name: own, title: t, source: s, figure: rows, series: {{a: {{}}}}, sizes: {sizes}}}"
    )
    with refused(ExperimentError):
        read_ablation(str(path), "smoke")


def test_against_has_to_be_a_series(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("{name: own, title: t, source: s, figure: rows, series: {a: {}}, against: b}")
    with refused(ExperimentError):
        read_ablation(str(path))


def _points(ablation):
    return [point for name in ablation.baselines for point in ablation_points(ablation, name)]
