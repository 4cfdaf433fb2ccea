import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.simplex import point_triangulation, simplex, simplex_figure
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN
from scalesearch.figures.triangle import cartesian

ROLES = {
    (1.0, 0.0, 0.0): "searched+depth",
    (0.0, 1.0, 0.0): "searched+width",
    (0.0, 0.0, 1.0): "searched+resolution",
}
LATTICE = [(i / 4, j / 4, (4 - i - j) / 4) for i in range(5) for j in range(5 - i)]
SEARCH = [(shares, ROLES.get(shares, "searched")) for shares in LATTICE]
REFERENCES = [((1 / 3, 1 / 3, 1 / 3), "uniform"), ((0.279, 0.292, 0.429), "paper")]


def records(candidates, seeds=3, epochs=(1, 3), noise=0.005):
    rng = np.random.default_rng(0)
    rows = [
        {
            "candidate": f"c{number:02}",
            "role": role,
            "seed": seed,
            "epoch": epoch,
            "depth_share": shares[0],
            "width_share": shares[1],
            "resolution_share": shares[2],
            "accuracy": 0.7 - 0.2 * (shares[1] - 0.5) ** 2 - 0.1 / epoch + rng.normal(0, noise),
        }
        for number, (shares, role) in enumerate(candidates)
        for seed in range(seeds)
        for epoch in epochs
    ]
    return pd.DataFrame(rows)


def texts(figure):
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    found = [*axes.texts, axes._left_title, *axes.get_legend().get_texts()]
    bar = axes.child_axes[0]
    found += [bar.yaxis.label, *bar.get_yticklabels()]
    return [text for text in found if text.get_text() and text.get_visible()]


def test_a_point_is_the_mean_of_its_seeds_at_the_last_epoch():
    table = records(SEARCH)
    data = simplex(table)
    assert data.epoch == 3
    assert len(data.points) == 15
    final = table[(table.epoch == 3) & (table.candidate == data.best.candidate)]
    assert data.best.accuracy == pytest.approx(final.accuracy.mean())
    assert data.best.standard_error == pytest.approx(final.accuracy.std(ddof=1) / 3**0.5)
    assert data.best.accuracy == max(point.accuracy for point in data.points)


def test_candidates_that_stopped_early_are_shown_and_not_compared():
    table = records(SEARCH)
    table = table[(table.candidate != "c05") | (table.epoch == 1)]
    data = simplex(table)
    assert len(data.points) == 14
    assert data.stopped == (SEARCH[5][0],)
    assert simplex(table, epoch=1).stopped == ()


def test_a_candidate_may_play_several_parts():
    data = simplex(records([*SEARCH[:3], ((1 / 3, 1 / 3, 1 / 3), "paper+searched+uniform")]))
    (point,) = [point for point in data.points if point.candidate == "c03"]
    assert point.references == ("uniform", "paper")


def test_seeds_and_the_standard_error_are_shown():
    table = records(SEARCH)
    assert simplex(table).seeds_text == "3 seeds"
    assert simplex(table[table.seed == 0]).seeds_text == "1 seed"
    assert simplex(table[table.seed == 0]).standard_error is None
    assert simplex(table[(table.seed == 0) | (table.candidate == "c00")]).seeds_text == "1-3 seeds"
    errors = [point.standard_error for point in simplex(table).points]
    assert min(errors) < simplex(table).standard_error < max(errors)


def test_an_epoch_that_no_run_reached_is_refused():
    with refused(SearchError):
        simplex(records(SEARCH), epoch=9)
    with refused(SearchError):
        simplex(records(SEARCH).iloc[:0])


def test_shares_lie_where_the_corners_are():
    places = cartesian([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1 / 3, 1 / 3, 1 / 3)])
    assert places == pytest.approx(np.array([[0, 0], [1, 0], [0.5, 3**0.5 / 2], [0.5, 3**0.5 / 6]]))


@pytest.mark.parametrize(
    "candidates", [SEARCH[:1], SEARCH[:2], [((0.2, x, 0.8 - x), "searched") for x in (0, 0.3, 0.6)]]
)
def test_points_without_an_area_have_no_surface(candidates):
    data = simplex(records(candidates))
    assert point_triangulation(data) is None
    assert not simplex_figure(data).axes[0].collections


def test_the_surface_spans_the_points():
    data = simplex(records(SEARCH))
    triangles = point_triangulation(data)
    corners = cartesian([point.shares for point in data.points])[triangles.get_masked_triangles()]
    u, v = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    assert np.abs(u[0] * v[1] - u[1] * v[0]).sum() / 2 == pytest.approx(3**0.5 / 4)
    assert simplex_figure(data).axes[0].collections


@pytest.mark.parametrize("width", [COLUMN, DOUBLE_COLUMN])
@pytest.mark.parametrize("candidates", [[*SEARCH, *REFERENCES], SEARCH[:2]])
def test_no_two_texts_collide(width, candidates):
    table = records(candidates)
    table = table[(table.candidate != "c01") | (table.epoch == 1)]
    figure = simplex_figure(simplex(table), width)
    found = texts(figure)
    assert len(found) > 14
    renderer = FigureCanvasAgg(figure).get_renderer()
    # A rotated text fills the diagonal of its box only, so level texts are compared.
    boxes = [(t, t.get_window_extent(renderer)) for t in found if t.get_rotation() in (0, 90)]
    for (one, box), (other, its) in itertools.combinations(boxes, 2):
        assert not box.overlaps(its), f"{one.get_text()!r} lies on {other.get_text()!r}"
    for text, box in boxes:
        inside = figure.bbox.padded(1)
        assert inside.contains(box.x0, box.y0), text.get_text()
        assert inside.contains(box.x1, box.y1), text.get_text()


def test_every_reference_is_named_and_the_best_is_marked():
    figure = simplex_figure(simplex(records([*SEARCH, *REFERENCES])))
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    names = {"depth only", "width only", "resolution only", "uniform", "paper", "searched"}
    assert names < labels
    assert any(label.startswith("best, 0.6") for label in labels)


def test_equal_accuracies_can_be_drawn():
    assert texts(
        simplex_figure(simplex(records(SEARCH, seeds=1, epochs=(1,)).assign(accuracy=0.5)))
    )


def test_drawing_leaves_the_settings_of_others_alone():
    before = mpl.rcParams.copy()
    simplex_figure(simplex(records(SEARCH)))
    assert mpl.rcParams == before
