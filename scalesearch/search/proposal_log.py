"""``proposals.csv``: what a sampler proposed, and what it knew then; to read, and to replay."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.files import write_text
from scalesearch.scaling import Shares

SHARE_COLUMNS = ["depth_share", "width_share", "resolution_share"]
LIST_COLUMNS = ("known", "in_flight")
"""Candidates: those that had ended, and those that were being trained."""


def write_proposals(path: Path, logs: Sequence[Mapping[str, Any]]) -> None:
    """Write a row for each proposal; floats keep every digit."""
    rows = [{**log, **{name: " ".join(log[name]) for name in LIST_COLUMNS}} for log in logs]
    table = pd.DataFrame(rows, columns=["number", *SHARE_COLUMNS, *LIST_COLUMNS])
    write_text(path, table.sort_values("number").to_csv(index=False))


def read_proposals(folder: Path) -> list[dict[str, Any]]:
    """The proposals of a search, in order. Raises SearchError where there is no such table."""
    path = folder / "proposals.csv"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        numbers = table[["number", *SHARE_COLUMNS]].astype({"number": int, **dict.fromkeys(SHARE_COLUMNS, float)})
        lists = {name: table[name].str.split() for name in LIST_COLUMNS}
    except FileNotFoundError:
        raise SearchError(
            f"{path}: no such log; only a search with a sampler (tpe, gp, ...) writes one"
        ) from None
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise SearchError(f"{path}: not a log of proposals: {error}") from error
    rows = numbers.assign(**lists).sort_values("number").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def read_proposed_shares(folder: str | Path) -> tuple[Shares, ...]:
    """The shares that another search's sampler proposed, in order."""
    return tuple(Shares(*(log[axis] for axis in SHARE_COLUMNS)) for log in read_proposals(Path(folder)))
