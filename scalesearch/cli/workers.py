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


def worker_options(
    executor: str | None,
    workers: int | None,
    scheduler: str | None,
    devices: str | None,
    memory: str | None,
) -> dict[str, Any]:
    """The options as ``search`` takes them. Raises SearchError for a size that is none."""
    device_names = [name.strip() for name in (devices or "").split(",") if name.strip()] or None
    # Only a worker process can be given a device or a limit.
    needs_processes = (workers or 1) > 1 or device_names is not None or memory is not None
    default_executor = "dask" if scheduler else "local" if needs_processes else "inline"
    return {
        "executor": executor or default_executor,
        "workers": workers,
        "scheduler": scheduler,
        "devices": device_names,
        "memory": None if memory is None else parse_bytes(memory),
    }


def parse_bytes(text: str) -> int:
    """Bytes of ``4GiB`` (1024^3 each), ``4GB`` (1000^3 each) or ``4294967296``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not match or (match[3] and not match[2]) or not float(match[1]):
        raise SearchError(f"--memory: need a size such as 4GiB or 500MB, got {text!r}")
    power = UNITS.index(match[2].upper())
    unit_bytes: int = (1024 if match[3] else 1000) ** power
    return round(float(match[1]) * unit_bytes)
