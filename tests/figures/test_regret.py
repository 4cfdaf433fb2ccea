import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.regret import regret_figure, regrets


def row(surface, setting, regret, share, picked=None, random=None):
    return {
        "surface": surface,
        "setting": setting,
        "regret": regret,
        "regret_90": 2 * regret,
        "share": share,
        "surface_regret": picked,
        "random_regret": random,
    }


ROWS = [
    row("edge", "grid", 0.001, 1.0),
    row("edge", "lattice", 0.002, 0.04, 0.0005, 0.004),
    row("flat", "grid", 0.0, 1.0),
    row("flat", "lattice", 0.003, 0.06, None, 0.001),
]


def test_regrets_are_in_points_and_shares_are_means_over_surfaces():
    found = regrets(ROWS)
    assert found.surfaces == ("edge", "flat")
    assert found.shares == {"grid": 1.0, "lattice": pytest.approx(0.05)}
    assert [(b.mean, b.quantile) for b in found.bars[:2]] == [(0.1, 0.2), (0.2, 0.4)]
    assert found.bars[1].surface_pick == pytest.approx(0.05)
    assert found.bars[3].surface_pick is None


def test_a_figure_names_surfaces_and_what_settings_cost():
    axes = regret_figure(regrets(ROWS)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["edge", "flat"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["grid", "lattice: 5.0% of its epochs"]


def test_an_empty_table_is_refused():
    with refused(SearchError):
        regrets([])
