"""Candidates that were stopped at different epochs, on one scale."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from scalesearch.analysis.twoway import additive_model

AccuracyCurves: TypeAlias = Mapping[str, Mapping[int, float]]
"""Candidate -> epoch -> mean accuracy over its seeds."""


def imputed_accuracies(values: AccuracyCurves) -> dict[str, float]:
    """What each candidate has, or would have had, at the last epoch that any has.

    Who has it keeps its own accuracy. Others get the prediction of accuracy = candidate + epoch,
    by least squares: what they have, and what those that went on gained since. The gain is of
    candidates that were let go on for doing well, part of which was luck, so the stopped ones come
    out a little low; who is to learn from them (a sampler) errs on the safe side. Left out are
    candidates without a value, and those that share no epoch with any that went on.

    Give the epochs at which candidates were judged (rungs), not whole curves: those in between add
    nothing but time. Raises SearchError for a value that is not finite.
    """
    table = additive_model(values)
    if not table.rows:
        return {}
    last_column = np.zeros(len(table.columns))
    last_column[-1] = 1.0
    predictable = np.isfinite(table.variance_of_difference(table.profiles, last_column))
    predicted = table.row_effects + table.column_effects[-1]
    epoch = table.columns[-1]
    return {
        name: float(values[name].get(epoch, value))
        for name, value, is_connected in zip(table.rows, predicted, predictable, strict=True)
        if is_connected
    }
