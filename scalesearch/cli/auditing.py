"""Commands that ask whether a search's short runs can be trusted."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AsJson, Folder

if TYPE_CHECKING:
    from scalesearch.report.audit import Audit

Level = Annotated[
    float, typer.Option(min=0.001, max=0.5, help="Intervals hold the truth but for so much.")
]


def audit(
    folder: Folder,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Compare with this search of the same candidates: other images, resolution, rate.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Rank agreement that an epoch has to reach.")
    ] = 0.7,
    level: Level = 0.1,
    as_json: AsJson = False,
) -> None:
    """Whether short runs rank as long ones do, and how the best drifts with their length."""
    from scalesearch.report.audit import audit as audited
    from scalesearch.report.audit import write_audit
    from scalesearch.tables import print_json

    found = audited(folder, beside or (), level=level, threshold=threshold)
    path = write_audit(folder, found)
    if as_json:
        print_json(found.document)
        return
    _print(found)
    print(f"wrote {path}", file=sys.stderr)


def _print(found: "Audit") -> None:
    from scalesearch.tables import print_table

    print("\n".join(found.sentences))
    for title, rows in _tables(found):
        if rows:
            print(f"\n{title}")  # a title of the table's own would be folded to its width
            print_table(rows)


def _tables(found: "Audit") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    ranks, moves = found.agreement, found.drift
    last, axes = ranks.epochs[-1], ("depth", "width", "resolution")
    names = [str(epoch) for epoch in ranks.epochs]
    yield (
        "Spearman's rho between epochs; on the diagonal, of an epoch with itself over other seeds",
        [
            {"epoch": epoch, **dict(zip(names, map(_known, row), strict=True))}
            for epoch, row in zip(names, ranks.matrix(), strict=True)
        ],
    )
    yield (
        f"beside epoch {last}: over the same runs, and across seeds, where `repeat` is the ceiling",
        [
            {
                "epoch": row["one"],
                "candidates": row["candidates"],
                "seeds": row["seeds"],
                **_told(row, "spearman", "kendall", "across", "repeat"),
                "verdict": ranks.verdicts[row["one"]],
            }
            for row in ranks.rows
            if row["other"] == last and row["one"] != last
        ],
    )
    yield (
        f"gain to epoch {last}, and how much more of it has who spends all on an axis",
        [
            {
                "from": row["early"],
                "candidates": row["candidates"],
                **_told(row, "gain", *axes),
                "p": row["p"],
                "p_shape": row["p_shape"],
            }
            for row in moves.rows
        ],
    )
    yield (
        "shares where the surface is highest",
        [
            {"epoch": row["epoch"], "candidates": row["candidates"], **_told(row, *axes)}
            for row in (best.row for best in moves.bests)
        ],
    )
    yield (
        "beside other searches",
        [
            {
                "search": row["other"],
                "candidates": row["candidates"],
                **_told(row, "spearman", "kendall", "across", "repeat"),
            }
            for row in (pair.row for pair in found.beside)
        ],
    )


def _told(row: dict[str, Any], *names: str) -> dict[str, str | None]:
    """Values with their intervals, as people read them."""
    return {name: _interval(row, name) for name in names if name in row}


def _interval(row: dict[str, Any], name: str) -> str | None:
    if row[name] is None:
        return None
    return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)
