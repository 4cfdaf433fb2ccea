import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from scalesearch.errors import SearchError
from scalesearch.plots.curves import curves, curves_figure


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
    data = curves(table(4, accuracy=[0.1, 0.5, 0.5, 0.4]))
    assert data.best == 2
    assert data.epochs == (1, 2, 3, 4)
    assert data.train_loss == (2, 1, 2 / 3, 0.5)


@pytest.mark.parametrize(
    ("columns", "told"),
    [({}, True), ({"top5": [1.0, 1.0]}, False), ({"top5": [None, 0.5]}, False)],
)
def test_top5_is_drawn_where_it_says_something(columns, told):
    data = curves(table(2, **columns))
    assert (data.top5 is not None) is told
    (_, accuracies) = curves_figure(data).axes
    labels = [text.get_text() for text in accuracies.get_legend().get_texts()]
    assert ("top-5" in labels) is told


def test_a_table_without_top5_can_be_drawn():
    assert curves(table(3).drop(columns="top5")).top5 is None


def test_no_epoch_is_refused():
    with pytest.raises(SearchError, match="need an epoch to draw"):
        curves(table(0))


@pytest.mark.parametrize("count", [1, 2, 9, 350])
def test_ticks_are_whole_epochs_and_no_labels_collide(count):
    figure = curves_figure(curves(table(count)))
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) for tick in ticks)
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert not any(one.overlaps(two) for one, two in itertools.pairwise(boxes))
