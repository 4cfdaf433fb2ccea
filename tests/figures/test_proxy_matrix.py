import numpy as np
import pytest
from refusals import refused

from scalesearch.analysis.proxy_check import epoch_rank_correlation
from scalesearch.errors import SearchError
from scalesearch.figures.proxy_matrix import rank_correlation_figure, rank_correlation_matrix
from scalesearch.figures.style import COLUMN, DOUBLE_COLUMN


def test_the_matrix_has_the_later_epoch_in_its_rows(searched):
    found = epoch_rank_correlation(searched(epochs=(1, 3)))
    data = rank_correlation_matrix(found)
    assert data.epochs == (1, 3)
    (pair,) = [pair for pair in found.pairs if pair.one != pair.other]
    assert data.values[1, 0] == pair.spearman.value
    assert (data.low[1, 0], data.high[1, 0]) == (pair.spearman.low, pair.spearman.high)
    assert data.candidates[1, 0] == 17
    assert np.isnan(data.values[0, 1])


def test_the_diagonal_is_how_an_epoch_repeats_itself_over_other_seeds(searched):
    found = epoch_rank_correlation(searched(epochs=(1, 3)))
    assert rank_correlation_matrix(found).values[1, 1] == found.noise_ceiling.repeat.value
    one_seed = rank_correlation_matrix(epoch_rank_correlation(searched(seeds=1, epochs=(1, 3))))
    assert np.isnan(one_seed.values[1, 1])
    assert not np.isnan(one_seed.values[1, 0])


def test_a_single_epoch_is_refused(searched):
    with refused(SearchError):
        rank_correlation_matrix(epoch_rank_correlation(searched(epochs=(1,))))


@pytest.mark.parametrize("width", [3.3, COLUMN, DOUBLE_COLUMN])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_no_two_texts_collide(searched, legible, width, count):
    table = searched(seeds=1, epochs=tuple(range(1, count + 1)))
    assert (
        legible(
            rank_correlation_figure(rank_correlation_matrix(epoch_rank_correlation(table)), width)
        )
        > 10
    )
