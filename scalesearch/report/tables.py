"""The report's tables: rows of cells, each with what it says and what it is sorted by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from scalesearch.analysis.optimum import Interval

Value: TypeAlias = float | str | None
SHORT = 8
"""Digits of a fingerprint that are shown; commands take them, too."""


@dataclass(frozen=True, slots=True)
class Cell:
    """``value``: what rows are sorted by; None is last."""

    text: str
    value: Value


@dataclass(frozen=True, slots=True)
class Table:
    """``numeric``: by column, whether it holds numbers. ``marks``: by row, the candidate that it is
    about, or "". ``note``: what is to be said above it.
    """

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marks: tuple[str, ...]


Column: TypeAlias = tuple[str, Callable[[Any], Value | Cell], str]
"""Its heading, what it tells of a row, and how numbers are written; ``"text"`` for words."""


def table(
    key: str,
    title: str,
    columns: Sequence[Column],
    rows: Iterable[Any],
    *,
    note: str = "",
    mark: Callable[[Any], str] = lambda row: "",
) -> Table:
    """The rows, each told by the columns."""
    kept = list(rows)
    return Table(
        key=key,
        title=title,
        note=note,
        columns=tuple(heading for heading, _, _ in columns),
        numeric=tuple(form != "text" for _, _, form in columns),
        rows=tuple(tuple(_cell(of(row), form) for _, of, form in columns) for row in kept),
        marks=tuple(mark(row) for row in kept),
    )


def _cell(value: Value | Cell, form: str) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell("-", None)
    return Cell(str(value) if form == "text" else format(value, form), value)


def interval(found: Interval | None) -> Cell | None:
    """With its bounds, to two digits."""
    if found is None:
        return None
    return Cell(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", found.value)


def parts(role: str) -> str:
    """The parts a candidate plays, for people."""
    return ", ".join(role.split("+"))


def yes(true: bool) -> str:
    """In a word."""
    return "yes" if true else "no"
