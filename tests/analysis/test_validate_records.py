"""Validation of a results table: it is sorted and complete, or refused with the reason."""

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.analysis.observations import NUMERIC_COLUMNS, validate_records
from scalesearch.errors import SearchError


@pytest.fixture
def table(whole):
    return whole()


def test_order_and_repeated_rows_change_nothing(table):
    other = pd.concat([table, table]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(validate_records(table), validate_records(other))


@pytest.mark.parametrize("column", NUMERIC_COLUMNS)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None])
def test_a_value_that_is_missing_or_not_finite_is_refused_with_its_run(table, column, wrong):
    values = table[column].astype(float)
    values.iloc[4] = np.nan if wrong is None else wrong
    with refused(SearchError):
        validate_records(table.assign(**{column: values}))


def test_two_accuracies_of_one_run_are_refused(table):
    again = table.iloc[[0]].assign(accuracy=0.1)
    with refused(SearchError):
        validate_records(pd.concat([table, again]))


def test_a_missing_column_and_an_empty_table_are_refused(table):
    with refused(SearchError):
        validate_records(table.drop(columns="role"))
    with refused(SearchError):
        validate_records(table[:0])
