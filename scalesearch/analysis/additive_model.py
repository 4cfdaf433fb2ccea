"""Additive model of a two-way table with holes: value = row + column + residual.

Rows are candidates. Columns are seeds (runs are paired, so a seed moves all candidates alike) or
epochs. The fit is by least squares, fast enough to be repeated thousands of times.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scalesearch.errors import SearchError

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Values: TypeAlias = Mapping[str, Mapping[Any, float]]

ROUNDING_ERROR = 1e-9
"""Values below this count as zero: the rounding error of numbers near one."""


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """A fitted additive model.

    ``rows`` and ``columns`` are sorted names, and the arrays follow their order. ``has_value``: 1
    where the table has a value, else 0. ``row_effects`` are on the scale of the values;
    ``column_effects`` sum to zero. Effects can be compared only within a connected part of the
    table (``variance_of_difference`` is infinite across parts). ``variance``: residual variance
    with ``df`` degrees of freedom, None without any.
    """

    rows: tuple[str, ...]
    columns: tuple[Any, ...]
    has_value: Floats
    row_effects: Floats
    column_effects: Floats
    variance: float | None
    df: int
    column_normal: Floats
    column_inverse: Floats

    def variance_of_difference(self, profiles: Floats, other: Floats) -> Floats:
        """Return the variance of differences of row effects, in units of ``variance``.

        ``profiles``: profiles (N, columns) of N rows. ``other``: profile (columns,) of the row
        they are compared with.
        """
        contrasts = profiles - other
        spread = contrasts @ self.column_inverse
        unexplained = np.abs(spread @ self.column_normal - contrasts).max(axis=1)
        squared_norms = np.square(profiles).sum(axis=1) + np.square(other).sum()
        variances = squared_norms + np.einsum("ij,ij->i", spread, contrasts)
        return np.where(unexplained > 1e-6, np.inf, variances)

    @property
    def profiles(self) -> Floats:
        """For each row, 1/n in the columns of its n values and 0 elsewhere."""
        shares: Floats = self.has_value / self.has_value.sum(axis=1, keepdims=True)
        return shares


def additive_model(values: Values) -> AdditiveModel:
    """Fit an additive model to ``values`` (row -> column -> value) by least squares.

    Rows without values are left out. Raises SearchError for a value that is not finite.
    """
    rows = tuple(sorted(name for name, cells in values.items() if cells))
    columns = tuple(sorted({column for name in rows for column in values[name]}))
    column_index = {column: index for index, column in enumerate(columns)}
    table, has_value = np.zeros((2, len(rows), len(columns)))
    for index, name in enumerate(rows):
        for column, value in values[name].items():
            table[index, column_index[column]] = value
            has_value[index, column_index[column]] = 1.0
    if not np.isfinite(table).all():
        invalid_row = rows[int(np.argmin(np.isfinite(table).all(axis=1)))]
        raise SearchError(
            f"candidate {invalid_row}: need finite values, got {dict(values[invalid_row])}"
        )
    counts = has_value.sum(axis=1)
    means = table.sum(axis=1) / counts
    # Eliminating the rows leaves normal equations for the columns alone, which are few.
    normal = np.diag(has_value.sum(axis=0)) - (has_value.T / counts) @ has_value
    inverse = np.linalg.pinv(normal, rcond=ROUNDING_ERROR, hermitian=True)
    effects = inverse @ (table - has_value * means[:, None]).sum(axis=0)
    row_effects = means - (has_value @ effects) / counts
    residuals = has_value * (table - row_effects[:, None] - effects)
    rank = round(float(np.trace(normal @ inverse)))
    df = int(counts.sum()) - len(rows) - rank
    return AdditiveModel(
        rows=rows,
        columns=columns,
        has_value=has_value,
        row_effects=row_effects,
        column_effects=effects,
        variance=float(np.square(residuals).sum()) / df if df > 0 else None,
        df=df,
        column_normal=normal,
        column_inverse=inverse,
    )
