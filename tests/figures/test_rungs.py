import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.rungs import rung_curves, rung_curves_figure
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN


def test_the_rungs_say_how_many_came_to_them(searched):
    data = rung_curves(searched(epochs=(1, 2, 6), stopped=5), (1, 2, 6))
    assert data.rungs == (1, 2, 6)
    assert data.reached == (17, 12, 12)
    assert sum(not curve.is_complete for curve in data.curves) == 5
    assert {curve.epochs for curve in data.curves if not curve.is_complete} == {(1,)}


def test_the_best_is_of_those_that_came_to_the_last_rung(searched):
    table = searched(epochs=(1, 2), stopped=3)
    table.loc[table["stopped"] != "", "accuracy"] = 0.99
    data = rung_curves(table, (1, 2))
    final = table[table["epoch"] == 2].groupby("candidate")["accuracy"].mean()
    assert data.best.candidate == final.idxmax()
    assert data.best.accuracy[-1] == pytest.approx(final.max())


def test_a_curve_is_of_the_seeds_that_its_candidate_had_to_the_end(searched):
    """Else the mean would jump where seeds are given to some only."""
    table = searched(epochs=(1, 2))
    table = table[~((table["candidate"] == "c00") & (table["epoch"] == 2) & (table["seed"] == 2))]
    (curve,) = [c for c in rung_curves(table, (1, 2)).curves if c.candidate == "c00"]
    both = table[(table["candidate"] == "c00") & (table["seed"] < 2)]
    assert curve.accuracy == pytest.approx(tuple(both.groupby("epoch")["accuracy"].mean()))


def test_a_rung_that_no_candidate_has_reached_is_left_out(searched):
    assert rung_curves(searched(epochs=(1, 2)), (1, 9)).rungs == (1, 2)


def test_an_empty_table_is_refused(searched):
    with refused(SearchError):
        rung_curves(searched().iloc[:0], (1,))


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
@pytest.mark.parametrize("epochs", [(1,), (1, 2, 6), tuple(range(1, 31))])
def test_no_two_texts_collide(searched, legible, width, epochs):
    table = searched(seeds=1, epochs=epochs, stopped=5 if len(epochs) > 1 else 0)
    assert legible(rung_curves_figure(rung_curves(table, (1, 2, 6)[: len(epochs)]), width)) > 10
