"""Results on standard output: a table for people, or one JSON document."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scalesearch.io import export_text, json_text

if TYPE_CHECKING:  # iso_cost loads numpy, which `scalesearch cost` does not need
    from scalesearch.candidates.iso_cost import Candidate

Row: TypeAlias = Mapping[str, Any]


def candidate_rows(candidates: "Sequence[Candidate]", limit: int | None = None) -> list[Row]:
    """Return a row for each candidate, or for ``limit`` evenly spaced ones."""
    last_index = len(candidates) - 1
    if limit is not None and limit <= last_index:
        candidates = [candidates[round(i * last_index / max(1, limit - 1))] for i in range(limit)]
    return [
        {
            "candidate": candidate.fingerprint,
            "depth_share": candidate.shares.depth,
            "width_share": candidate.shares.width,
            "resolution_share": candidate.shares.resolution,
            "depth": candidate.multipliers.depth,
            "width": candidate.multipliers.width,
            "resolution": candidate.architecture.resolution,
            **dataclasses.asdict(candidate.cost),
            "factor": candidate.factor,
        }
        for candidate in candidates
    ]


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document."""
    print(json_text(document, allow_nan=False), end="")


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows to a CSV file, None as an empty cell, or raise ExportError."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return export_text(path, buffer.getvalue())


def print_table(rows: Sequence[Row], columns: Sequence[str] = (), title: str = "") -> None:
    """Print rows as a table, by default with the first row's scalar keys.

    Lines are neither wrapped nor cut, however narrow the terminal, so that output can be searched.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if rows and not columns:
        columns = [name for name, value in rows[0].items() if not isinstance(value, Mapping)]
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        is_numeric = any(_is_number(row.get(name)) for row in rows)
        table.add_column(name, justify="right" if is_numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(format_value(row.get(name)) for name in columns))
    console = Console(width=10_000, highlight=False, markup=False, emoji=False)
    console.width = max(console.measure(table).maximum, len(title))
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().strip("\n").split("\n")))


def format_value(value: Any) -> str:
    """Format a value for people: 1,234,567 or 0.1235, and - for None."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not _is_number(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
