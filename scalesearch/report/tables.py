"""The report's tables: rows of cells, each with what it says and what it is sorted by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from scalesearch.analysis.optimum import Interval

CellValue: TypeAlias = float | str | None
FINGERPRINT_DIGITS = 8
"""Digits of a fingerprint that are shown; commands take them, too."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """``value``: what rows are sorted by; None is last."""

    text: str
    value: CellValue


@dataclass(frozen=True, slots=True)
class ReportTable:
    """``numeric``: by column, whether it holds numbers. ``marks``: by row, the candidate that it is
    about, or "". ``note``: what is to be said above it.
    """

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    marks: tuple[str, ...]


TableColumn: TypeAlias = tuple[str, Callable[[Any], CellValue | TableCell], str]
"""Its heading, what it tells of a row, and how numbers are written; ``"text"`` for words."""


def report_table(
    key: str,
    title: str,
    columns: Sequence[TableColumn],
    rows: Iterable[Any],
    *,
    note: str = "",
    candidate_of: Callable[[Any], str] = lambda row: "",
) -> ReportTable:
    """The rows, each told by the columns."""
    row_list = list(rows)
    return ReportTable(
        key=key,
        title=title,
        note=note,
        columns=tuple(heading for heading, _, _ in columns),
        numeric=tuple(number_format != "text" for _, _, number_format in columns),
        rows=tuple(tuple(_to_cell(value_of(row), form) for _, value_of, form in columns) for row in row_list),
        marks=tuple(candidate_of(row) for row in row_list),
    )


def _to_cell(value: CellValue | TableCell, number_format: str) -> TableCell:
    if isinstance(value, TableCell):
        return value
    if value is None:
        return TableCell("-", None)
    return TableCell(str(value) if number_format == "text" else format(value, number_format), value)


def interval_cell(estimate: Interval | None) -> TableCell | None:
    """With its bounds, to two digits."""
    if estimate is None:
        return None
    return TableCell(f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]", estimate.value)


def roles_text(role: str) -> str:
    """The parts a candidate plays, for people."""
    return ", ".join(role.split("+"))


def yes_or_no(value: bool) -> str:
    """In a word."""
    return "yes" if value else "no"
