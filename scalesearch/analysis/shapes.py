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

TINY = 1e-18


def effects(
    design_NP: Floats, values_N: Floats, names: Sequence[str], level: float
) -> dict[str, Interval]:
    """Of each part against the mean of the others (Cox's direction), with t intervals."""
    solver = np.linalg.pinv(design_NP)
    left = values_N - design_NP @ (solver @ values_N)
    spare = len(values_N) - design_NP.shape[1]
    variance = float(left @ left) / spare
    reach = float(stdtrit(spare, 1 - level / 2))
    found = {}
    for place, name in enumerate(names):
        contrast = np.full(len(names), -1 / (len(names) - 1))
        contrast[place] = 1.0
        row = contrast @ solver
        value, error = float(row @ values_N), float(np.sqrt(variance * (row @ row)))
        found[name] = Interval(value, value - reach * error, value + reach * error)
    return found


def explained(design_NP: Floats, values_N: Floats) -> float:
    """p of the F test that the parts of a mixture differ at all."""
    due, left = _parts(design_NP, values_N[:, None])
    df, spare = design_NP.shape[1] - 1, len(values_N) - design_NP.shape[1]
    return float(fdtrc(df, spare, due[0, 0] / df / max(left[0, 0] / spare, TINY)))


def changed_shape(design_NP: Floats, values_N2: Floats) -> tuple[float | None, float]:
    """The k of late - k * early that shares explain least, and p of its being explained at all.

    Without a positive k (the surface is turned about, or one of the two says nothing) the less
    explained of the two stands for it, with nothing taken off for having looked for a k.
    """
    due, left = _parts(design_NP, values_N2)
    left = left + TINY * np.eye(2)
    df, spare = design_NP.shape[1] - 1, len(values_N2) - design_NP.shape[1]
    roots, vectors = eigh(due, left)
    least = max(0.0, float(roots[0]))  # a sum of squares, but for rounding
    early, late = vectors[:, 0]
    if early * late < 0:
        steepness = float(-early / late)
        if df < 2:  # a line is in proportion to any other that rises the same way
            return steepness, 1.0
        return steepness, float(fdtrc(df - 1, spare, least / (df - 1) * spare))
    least = min(due[at, at] / left[at, at] for at in (0, 1))
    return None, float(fdtrc(df, spare, least / df * spare))


def _parts(design_NP: Floats, values_NK: Floats) -> tuple[Floats, Floats]:
    """Sums of squares and products: what the parts explain beyond a mean, and what they leave."""
    fitted = design_NP @ np.linalg.pinv(design_NP) @ values_NK
    left, due = values_NK - fitted, fitted - values_NK.mean(axis=0)
    return due.T @ due, left.T @ left
