import math
from dataclasses import replace

import pytest

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.published import (
    CLASSIC_GRID,
    PAPER_COEFFICIENTS,
    PUBLISHED_MODELS,
    SCHEMES,
    TABLE_3,
    TABLE_7,
    implied_phi,
    implied_phis,
)
from scalesearch.scaling.rounding import ROUNDINGS

TINYNETS = {
    "tinynet_a": (1.0, 1.2, 192, 6.2e6, 339e6),
    "tinynet_b": (0.75, 1.1, 188, 3.7e6, 202e6),
    "tinynet_c": (0.54, 0.85, 184, 2.5e6, 100e6),
    "tinynet_d": (0.54, 0.695, 152, 2.3e6, 52e6),
    "tinynet_e": (0.51, 0.6, 106, 2.0e6, 24e6),
}
"""Width, depth, resolution, parameters and multiply-adds of arXiv:2010.14819, as printed."""
TINYNET_ROUNDING = replace(ROUNDINGS["timm"], depth="round", fixed_stem=True, fixed_head=True)

# Counted on public implementations: (params, macs, activations).
EXACT = {
    "b0": (5288548, 385814752, 6748036),
    "b1": (7794184, 686802832, 10884328),
    "b2": (9109994, 993561872, 13832834),
    "b4": (19341616, 4393771024, 49489032),
    "b7": (66347960, 37745884192, 289939464),
}


def network(name):
    return scale(efficientnet_b0(), PUBLISHED_MODELS[name].multipliers, ROUNDINGS["official"])


@pytest.mark.parametrize("name", EXACT)
def test_the_rows_give_the_networks_that_others_counted(name):
    spent = cost(network(name))
    assert (spent.params, spent.macs, spent.activations) == EXACT[name]


@pytest.mark.parametrize("name", PUBLISHED_MODELS)
def test_a_row_gives_exactly_its_resolution(name):
    assert network(name).resolution == PUBLISHED_MODELS[name].resolution


@pytest.mark.parametrize("name", [name for name, row in PUBLISHED_MODELS.items() if row.macs])
def test_the_printed_costs_are_the_exact_ones_roughly(name):
    spent = cost(network(name))
    assert spent.params == pytest.approx(PUBLISHED_MODELS[name].params, rel=0.03)
    assert spent.macs == pytest.approx(PUBLISHED_MODELS[name].macs, rel=0.05)


def test_models_released_later_have_no_accuracy_in_the_paper():
    assert [name for name, row in PUBLISHED_MODELS.items() if row.top1 is None] == ["b8", "l2"]


@pytest.mark.parametrize(
    ("name", "phis"),
    [
        ("b1", (0.52, 0, 0.49)),
        ("b2", (1.0, 1.0, 1.07)),
        ("b3", (1.85, 1.91, 2.09)),
        ("b4", (3.2, 3.5, 3.8)),
        ("b7", (6.2, 7.3, 7.05)),
    ],
)
def test_each_axis_of_a_published_model_implies_another_phi(name, phis):
    assert implied_phis(PUBLISHED_MODELS[name].multipliers) == pytest.approx(phis, abs=0.05)
    assert min(phis) - 0.5 < implied_phi(PUBLISHED_MODELS[name].multipliers) < max(phis)


def test_the_implied_phi_of_what_coefficients_ask_for_is_phi():
    assert implied_phi(PAPER_COEFFICIENTS.at(2.5)) == pytest.approx(2.5)
    assert implied_phi(Multipliers()) == 0
    assert math.isclose(PAPER_COEFFICIENTS.factor, 1.92, abs_tol=0.001)


def test_the_comparisons_have_their_compound_row_ahead():
    assert max(TABLE_7, key=lambda row: row.top1).multipliers == Multipliers(1.4, 1.2, 1.3)
    for baseline in ("mobilenet_v1", "mobilenet_v2", "resnet50"):
        rows = [row for row in TABLE_3 if row.baseline == baseline]
        assert rows[-1].top1 == max(row.top1 for row in rows)
        assert rows[0].multipliers == Multipliers()


# Schemes


def test_every_scheme_spends_the_factor_that_is_asked():
    for name, scheme in SCHEMES.items():
        assert scheme.name == name
        assert scheme.coefficients(3.0).factor == pytest.approx(3.0)
        assert scheme.coefficients(3.0).shares.distance(scheme.shares) < 1e-9


def test_the_papers_scheme_is_printed_and_the_fast_one_is_nearly_all_width():
    assert SCHEMES["paper"].coefficients() == PAPER_COEFFICIENTS
    fast = SCHEMES["fast"].coefficients()
    assert (fast.alpha, fast.beta, fast.gamma) == pytest.approx((2**0.1, 2**0.4, 2**0.05))


def test_the_classic_grid_has_109_cells_and_the_papers_is_one():
    cells = list(CLASSIC_GRID.coefficients())
    assert len(cells) == len(set(cells)) == 109
    assert PAPER_COEFFICIENTS in cells
    for cell in cells:
        assert abs(cell.factor - 2) <= 0.1 + 1e-9
        assert 1 <= cell.alpha <= 2
        assert 1 <= min(cell.beta, cell.gamma) <= max(cell.beta, cell.gamma) <= 1.5


@pytest.mark.parametrize(("width", "depth", "resolution", "params", "macs"), TINYNETS.values())
def test_tinynets_cost_what_is_printed_of_them(width, depth, resolution, params, macs):
    multipliers = Multipliers(depth, width, resolution / 224)
    counted = cost(scale(efficientnet_b0(), multipliers, TINYNET_ROUNDING))
    assert counted.params == pytest.approx(params, abs=0.05e6)
    assert counted.macs == pytest.approx(macs, rel=0.02)
