import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.figures.training_curves import (
    seed_curves,
    seed_curves_figure,
    training_curves,
    training_curves_figure,
)


def table(count, **columns):
    index = range(1, count + 1)
    rows = {
        "epoch": index,
        "train_loss": [2 / i for i in index],
        "loss": [2.1 / i for i in index],
        "accuracy": [1 - 0.9 / i for i in index],
        "top5": [1 - 0.5 / i for i in index],
    }
    return pd.DataFrame({**rows, **columns})


def test_the_best_epoch_is_the_first_of_the_greatest_accuracy():
    data = training_curves(table(4, accuracy=[0.1, 0.5, 0.5, 0.4]))
    assert data.best_epoch == 2
    assert data.epochs == (1, 2, 3, 4)
    assert data.train_loss == (2, 1, 2 / 3, 0.5)


@pytest.mark.parametrize(
    ("columns", "told"),
    [({}, True), ({"top5": [1.0, 1.0]}, False), ({"top5": [None, 0.5]}, False)],
)
def test_top5_is_drawn_where_it_says_something(columns, told):
    data = training_curves(table(2, **columns))
    assert (data.top5 is not None) is told
    (_, accuracies) = training_curves_figure(data).axes
    labels = [text.get_text() for text in accuracies.get_legend().get_texts()]
    assert ("top-5" in labels) is told


def test_a_table_without_top5_can_be_drawn():
    assert training_curves(table(3).drop(columns="top5")).top5 is None


def test_no_epoch_is_refused():
    with refused(SearchError):
        training_curves(table(0))


@pytest.mark.parametrize("count", [1, 2, 9, 350])
def test_ticks_are_whole_epochs_and_no_labels_collide(count):
    figure = training_curves_figure(training_curves(table(count)))
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) for tick in ticks)
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert not any(one.overlaps(two) for one, two in itertools.pairwise(boxes))


def seeds(*counts, **columns):
    """Seeds 3, 4, ... of so many epochs, each a tenth less accurate than the one before."""
    tables = [table(count, **columns) for count in counts]
    for number, one in enumerate(tables):
        one["accuracy"] -= 0.1 * number
        one.insert(0, "seed", 3 + number)
    return pd.concat(tables, ignore_index=True)


def test_the_mean_of_seeds_ends_where_the_first_of_them_ends():
    data = seed_curves(seeds(4, 2, 3))
    assert [one.epochs for one in data.per_seed] == [(1, 2, 3, 4), (1, 2), (1, 2, 3)]
    assert data.mean.epochs == (1, 2)
    assert data.mean.accuracy == pytest.approx((0.0, 0.45))
    assert data.mean.loss == pytest.approx((2.1, 1.05))
    assert data.sd == pytest.approx(0.1)
    assert seed_curves(seeds(2)).sd is None


@pytest.mark.parametrize("top5", [True, False])
def test_each_seed_is_a_thin_line_and_their_mean_a_thick_one(top5):
    columns = {} if top5 else {"top5": 1.0}
    figure = seed_curves_figure(seed_curves(seeds(5, 5, 5, **columns)))
    for axes, kinds in zip(figure.axes, (2, 1 + top5), strict=True):
        widths = [line.get_linewidth() for line in axes.get_lines()]
        assert sorted(widths) == [min(widths)] * 3 * kinds + [max(widths)] * kinds
        assert min(widths) < max(widths) / 2
        assert len(axes.get_legend().get_texts()) == kinds
    texts = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert texts[-1] == "top-1: 72.0% (sd 10.0%) after epoch 5"


@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (350, 350, 340), (3,)])
def test_seeds_of_any_length_can_be_drawn(counts):
    figure = seed_curves_figure(seed_curves(seeds(*counts)))
    FigureCanvasAgg(figure).draw()
    low, high = figure.axes[0].get_xlim()
    assert low <= 1
    assert high >= max(counts)
    for line in figure.axes[0].get_lines():
        assert len(line.get_xdata()) > 1 or line.get_marker() == "."


def test_no_seed_is_refused():
    with refused(SearchError):
        seed_curves(seeds(1).iloc[:0])
