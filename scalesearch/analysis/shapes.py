"""Mixture surfaces compared: what an axis is worth, and whether two have one shape.

Two surfaces of the same candidates have one shape where late = a + k * early, for one k of all of
them; their best places are then the same. The test of it: of all late - k * early, take the one
that shares explain least beside what they leave over, and ask whether they explain it at all (the
test of overidentification of Anderson & Rubin, Ann. Math. Stat. 20, 1949; with the least root in
place of a known k it is not too often significant, however little the early surface tells).
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh
from scipy.special import fdtrc, stdtrit

from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.twoway import Floats

MIN_SUM_OF_SQUARES = 1e-18


def axis_effects(
    design_NP: Floats, values_N: Floats, names: Sequence[str], level: float
) -> dict[str, Interval]:
    """Of each part against the mean of the others (Cox's direction), with t intervals."""
    solver = np.linalg.pinv(design_NP)
    residuals = values_N - design_NP @ (solver @ values_N)
    residual_df = len(values_N) - design_NP.shape[1]
    variance = float(residuals @ residuals) / residual_df
    t_limit = float(stdtrit(residual_df, 1 - level / 2))
    intervals = {}
    for index, name in enumerate(names):
        contrast = np.full(len(names), -1 / (len(names) - 1))
        contrast[index] = 1.0
        row = contrast @ solver
        value, error = float(row @ values_N), float(np.sqrt(variance * (row @ row)))
        intervals[name] = Interval(value, value - t_limit * error, value + t_limit * error)
    return intervals


def p_value_of_differences(design_NP: Floats, values_N: Floats) -> float:
    """p of the F test that the parts of a mixture differ at all."""
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N[:, None])
    df, residual_df = design_NP.shape[1] - 1, len(values_N) - design_NP.shape[1]
    return float(fdtrc(df, residual_df, explained_squares[0, 0] / df / max(residual_squares[0, 0] / residual_df, MIN_SUM_OF_SQUARES)))


def shape_change(design_NP: Floats, values_N2: Floats) -> tuple[float | None, float]:
    """The k of late - k * early that shares explain least, and p of its being explained at all.

    Without a positive k (the surface is turned about, or one of the two says nothing) the less
    explained of the two stands for it, with nothing taken off for having looked for a k.
    """
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N2)
    residual_squares = residual_squares + MIN_SUM_OF_SQUARES * np.eye(2)
    df, residual_df = design_NP.shape[1] - 1, len(values_N2) - design_NP.shape[1]
    roots, vectors = eigh(explained_squares, residual_squares)
    least = max(0.0, float(roots[0]))  # a sum of squares, but for rounding
    early, late = vectors[:, 0]
    if early * late < 0:
        steepness = float(-early / late)
        if df < 2:  # a line is in proportion to any other that rises the same way
            return steepness, 1.0
        return steepness, float(fdtrc(df - 1, residual_df, least / (df - 1) * residual_df))
    least = min(explained_squares[index, index] / residual_squares[index, index] for index in (0, 1))
    return None, float(fdtrc(df, residual_df, least / df * residual_df))


def _sums_of_squares(design_NP: Floats, values_NK: Floats) -> tuple[Floats, Floats]:
    """Sums of squares and products: what the parts explain beyond a mean, and what they leave."""
    fitted = design_NP @ np.linalg.pinv(design_NP) @ values_NK
    residuals, deviations = values_NK - fitted, fitted - values_NK.mean(axis=0)
    return deviations.T @ deviations, residuals.T @ residuals
