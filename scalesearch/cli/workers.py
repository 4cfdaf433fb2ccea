"""Options that say who trains, and where it is written down."""

import re
from typing import Annotated, Any

import typer

from scalesearch.errors import SearchError

Executor = Annotated[
    str | None,
    typer.Option(
        help="inline (this process), local (worker processes on this machine) or dask; by default "
        "local with several --workers, --devices or --memory, dask with --scheduler, and inline "
        "elsewhere."
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Jobs at a time.")]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster: tcp://host:8786.")
]
Devices = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="One for each local worker: cuda:0,cuda:1; with dask, cuda takes workers with a GPU.",
    ),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="What a local worker may take: 4GiB")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="A database for the study: postgresql+psycopg://user@host/name"
    ),
]
UNITS = ("", "K", "M", "G", "T")
"""Each a thousand of the one before, or 1024."""


def crew(
    executor: str | None,
    workers: int | None,
    scheduler: str | None,
    devices: str | None,
    memory: str | None,
) -> dict[str, Any]:
    """The options as ``search`` takes them. Raises SearchError for a size that is none."""
    named = [name.strip() for name in (devices or "").split(",") if name.strip()] or None
    # Only a worker process can be given a device or a limit.
    own = (workers or 1) > 1 or named is not None or memory is not None
    default = "dask" if scheduler else "local" if own else "inline"
    return {
        "executor": executor or default,
        "workers": workers,
        "scheduler": scheduler,
        "devices": named,
        "memory": None if memory is None else size(memory),
    }


def size(text: str) -> int:
    """Bytes of ``4GiB`` (1024^3 each), ``4GB`` (1000^3 each) or ``4294967296``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not found or (found[3] and not found[2]) or not float(found[1]):
        raise SearchError(f"--memory: need a size such as 4GiB or 500MB, got {text!r}")
    power = UNITS.index(found[2].upper())
    each: int = (1024 if found[3] else 1000) ** power
    return round(float(found[1]) * each)
