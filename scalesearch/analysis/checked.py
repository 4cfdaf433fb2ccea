"""A results table that may be concluded from: whole, finite, and of one opinion."""

import numpy as np
import pandas as pd

from scalesearch.analysis.observations import SHARES
from scalesearch.errors import SearchError
from scalesearch.records import KEY

NUMERIC_COLUMNS = ["accuracy", *SHARES, "alpha", "beta", "gamma", "factor", "macs", "params", "activations"]
OTHER_COLUMNS = ["role", "deviation", "asked_alpha", "asked_beta", "asked_gamma"]


def validate_records(records: pd.DataFrame) -> pd.DataFrame:
    """The table in an order of its own, each run once.

    Raises SearchError for an empty table, for missing columns, for values that are missing or not
    finite, and for two rows of one (candidate, seed, epoch) that differ in accuracy.
    """
    if missing := [name for name in [*KEY, *NUMERIC_COLUMNS, *OTHER_COLUMNS] if name not in records.columns]:
        raise SearchError(f"records: need the columns {', '.join(missing)}, which are missing")
    if records.empty:
        raise SearchError("records: need at least one finished candidate, got an empty table")
    for column in [*KEY, *NUMERIC_COLUMNS]:
        invalid = records[column].isna()
        if column in NUMERIC_COLUMNS:
            invalid |= ~np.isfinite(records[column].astype(float))
        if invalid.any():
            run = records.loc[invalid, KEY].iloc[0].to_dict()
            description = ", ".join(f"{key} {value}" for key, value in run.items())
            raise SearchError(
                f"records: need a finite {column} everywhere, got "
                f"{records.loc[invalid, column].iloc[0]} for {description}; throw that run away with "
                "`scalesearch invalidate`, and train it again with `resume`"
            )
    rows = records.drop_duplicates([*KEY, "accuracy"])
    if (duplicated := rows.duplicated(KEY)).any():
        run = rows.loc[duplicated, KEY].iloc[0].to_dict()
        raise SearchError(f"records: need one accuracy for each run, got two for {run}")
    return rows.sort_values(KEY, ignore_index=True)
