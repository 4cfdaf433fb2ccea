"""The points of an ablation's searches."""

import pytest

from scalesearch.ablations.spec import ablation_experiments, ablation_points, read_ablation
from scalesearch.families.members import family
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.published import PAPER_COEFFICIENTS
from scalesearch.search.candidate_source import trials_of_points


def test_varying_multipliers_name_the_points_of_a_curve():
    found = ablation_points(read_ablation("figure4", "smoke"), "efficientnet_b0")
    assert [point.name for point in found[:3]] == [
        "d=1.0 r=1.0 1",
        "d=1.0 r=1.0 2",
        "d=1.0 r=1.3 1",
    ]
    assert found[-1].nominal_multipliers == Multipliers(2.0, 2.0, 1.3)
    assert found[-1].factor == pytest.approx(2 * 4 * 1.69)


def test_a_direction_has_exactly_the_nominal_cost():
    found = ablation_points(read_ablation("figure8"), "efficientnet_b0")
    for point in found:
        assert not point.is_matched
        assert point.nominal_multipliers.factor == pytest.approx(point.factor)


def test_a_matched_point_has_cost_and_shares_except_the_baseline():
    found = {
        point.name: point for point in ablation_points(read_ablation("matched8"), "efficientnet_b0")
    }
    assert found["paper 1x"].document == {
        "name": "paper 1x", "role": "paper", "depth": 1.0, "width": 1.0, "resolution": 1.0,
    }  # fmt: skip
    assert found["paper 4x"].document["factor"] == 4
    assert found["paper 4x"].document["shares"] == pytest.approx(
        PAPER_COEFFICIENTS.shares.as_tuple()
    )


def test_the_family_of_figure_1_is_the_emitted_one():
    ablation = read_ablation("figure1", "small", ["budget.tolerance=0.02"])
    experiment = ablation_experiments(ablation)["efficientnet_b0"]
    baseline = experiment.baseline.build_architecture(num_classes=10)
    _, planned = trials_of_points(experiment.search.points, baseline, experiment.budget)
    trained = {cell.name: item.candidate.architecture for item in planned for cell in item.cells}
    emitted = family(PAPER_COEFFICIENTS, baseline, phis=range(3))
    assert [trained[f"family {factor}x"] for factor in (1, 2, 4)] == [
        member.architecture for member in emitted
    ]


def test_a_direction_may_be_the_coefficients_of_a_search(tmp_path):
    path = tmp_path / "coefficients.json"
    path.write_text('{"alpha": 1.0, "beta": 1.4142135623730951, "gamma": 1.0}')
    ablation = read_ablation("figure1", "small", [f"series.family.along={path}"])
    found = {point.name: point for point in ablation_points(ablation, "efficientnet_b0")}
    assert found["family 4x"].shares.as_tuple() == pytest.approx((0, 1, 0))
    assert found["family 4x"].nominal_multipliers.width == pytest.approx(2)


def test_every_baseline_has_its_own_search():
    found = ablation_experiments(read_ablation("table3", "small"))
    assert list(found) == ["mobilenet_v1", "mobilenet_v2", "resnet50"]
    assert [one.baseline.width for one in found.values()] == [0.2, 0.25, 0.1]
    assert {one.name for one in found.values()} == {f"table3-small-{name}" for name in found}
