"""Options that several commands share."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from scalesearch.api.worker_config import WorkerConfig
from scalesearch.errors import SearchError

Width = Annotated[
    float | None, typer.Option(help="Multiply the baseline's number of channels by this.")
]
Depth = Annotated[
    float | None, typer.Option(help="Multiply the baseline's number of blocks by this.")
]
Resolution = Annotated[
    int | None, typer.Option(help="Pixels per side of the network's input.", min=1)
]
StemStride = Annotated[
    int | None,
    typer.Option(help="Stride of the first convolution; 1 suits small images.", min=1),
]
InChannels = Annotated[int | None, typer.Option(help="Number of channels of the images.", min=1)]
NumClasses = Annotated[int | None, typer.Option(help="Number of classes to predict.", min=1)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the experiment, such as recipe.epochs=3.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Keep the study in this database, such as postgresql+psycopg://user@host/name; by "
        "default in a SQLite file in the folder.",
    ),
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Allow a baseline module:factory to run its code.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Only show what would be trained and how long it would take."),
]
RoundingName = Annotated[
    str | None,
    typer.Option(
        help="How channels, blocks and pixels are rounded: official, nearest, even, torchvision, "
        "timm, efficientnetv2 or lite."
    ),
]
SignificanceLevel = Annotated[
    float,
    typer.Option(min=0.001, max=0.5, help="Significance level of intervals and tests."),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help="Library whose names the tensors have, such as torchvision, timm or timm-tf; by "
        "default it is recognised."
    ),
]
BenchmarkDevice = Annotated[str, typer.Option(help="Device to measure: cpu or cuda.")]
Device = Annotated[str, typer.Option(help="Device to compute on: auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(help="Number of CPU threads.", min=1)]

WORKERS = WorkerConfig()
"""Default of a command's ``workers``."""

WORKER_OPTIONS: dict[str, Any] = {
    "executor": Annotated[
        str | None,
        typer.Option(
            help="Where jobs run: inline (this process), local (worker processes on this machine) "
            "or dask; by default local with several --workers, --devices or --memory, dask with "
            "--scheduler, and inline otherwise."
        ),
    ],
    "workers": Annotated[
        int | None, typer.Option(min=1, help="Number of jobs that run at the same time.")
    ],
    "scheduler": Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to use, such as tcp://host:8786."),
    ],
    "devices": Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Device of each local worker, such as cuda:0,cuda:1; with dask, cuda uses only "
            "workers that have a GPU.",
        ),
    ],
    "memory": Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory limit of each local worker, such as 4GiB."),
    ],
}
UNITS = ("", "K", "M", "G", "T")
"""Each a thousand times, or 1024 times, the one before."""


def with_worker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the worker options, which arrive as one WorkerConfig."""

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in WORKER_OPTIONS}
        command(**arguments, workers=worker_config(**chosen))

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in WORKER_OPTIONS.items()
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        replaced = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += options if parameter.name == "workers" else [replaced]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def worker_config(
    executor: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    devices: str | None = None,
    memory: str | None = None,
) -> WorkerConfig:
    """Return the workers of the options; raise SearchError for a wrong size."""
    names = tuple(name.strip() for name in (devices or "").split(",") if name.strip())
    return WorkerConfig(
        executor=executor,
        workers=workers,
        scheduler=scheduler,
        devices=names or None,
        memory=None if memory is None else parse_bytes(memory),
    )


def parse_bytes(text: str) -> int:
    """Return the bytes of ``4GiB`` (1024^3), ``4GB`` (1000^3) or ``4294967296``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not match or (match[3] and not match[2]) or not float(match[1]):
        raise SearchError(f"--memory: need a size such as 4GiB or 500MB, got {text!r}")
    power = UNITS.index(match[2].upper())
    unit_bytes: int = (1024 if match[3] else 1000) ** power
    return round(float(match[1]) * unit_bytes)


def parse_whole_numbers(
    option: str, text: str, example: str, error: type[Exception] = SearchError
) -> list[int]:
    """Return the different whole numbers of a list such as ``1,8,64``, in their order."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise error(f"{option}: need whole numbers of at least 1, such as {example}, got {text!r}")
    return list(dict.fromkeys(numbers))
