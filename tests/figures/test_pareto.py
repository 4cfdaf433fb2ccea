import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.pareto import pareto, pareto_figure, pareto_front
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN

BASELINE = {"macs": 1000, "params": 800, "activations": 700}
BUDGET = ("macs", 2.0, 0.02)


def test_a_front_is_of_those_that_no_cheaper_one_beats():
    assert pareto_front((3.0, 1.0, 2.0, 1.0), [0.9, 0.5, 0.4, 0.6]) == (3, 0)
    assert pareto_front((1.0,), [0.5]) == (0,)
    assert pareto_front((2.0, 1.0), [0.5, 0.5]) == (1,)


def test_costs_follow_the_points(searched):
    table = searched()
    data = pareto(table, BASELINE, BUDGET)
    first = table.drop_duplicates("candidate").set_index("candidate")
    names = [point.candidate for point in data.points]
    assert data.costs["params"] == tuple(float(value) for value in first.loc[names, "params"])
    assert data.epoch == 3


def test_lines_are_the_baselines_cost_and_its_multiples_around_the_points(searched):
    data = pareto(searched(), BASELINE, BUDGET)
    assert data.lines["macs"] == {1.0: 1000.0, 2.0: 2000.0}
    assert data.lines["params"] == {1.0: 800.0, 2.0: 1600.0, 4.0: 3200.0}
    dearer = pareto(searched(), {**BASELINE, "activations": 2000}, BUDGET)
    assert list(dearer.lines["activations"]) == [0.25, 0.5, 1.0]


def test_candidates_of_equal_cost_have_no_front_there(searched):
    figure = pareto_figure(pareto(searched(), BASELINE, BUDGET), DOUBLE_COLUMN)
    steps = [
        sum(
            line.get_drawstyle() == "steps-post" and len(line.get_xdata()) > 0
            for line in axes.lines
        )
        for axes in figure.axes
    ]
    assert steps == [0, 1, 1]


def test_an_epoch_that_no_run_reached_is_refused(searched):
    with refused(SearchError):
        pareto(searched(), BASELINE, BUDGET, epoch=9)


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
def test_no_two_texts_collide(searched, legible, width):
    assert legible(pareto_figure(pareto(searched(), BASELINE, BUDGET), width)) > 20
