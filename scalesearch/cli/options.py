"""Options that several commands share."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
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
UNITS = ("", "K", "M", "G", "T")
"""Each a thousand times, or 1024 times, the one before."""


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """Depth, width and resolution of the baseline itself."""

    depth: Depth = None
    width: Width = None
    resolution: Resolution = None


@dataclass(frozen=True, kw_only=True)
class EndOptions:
    """The first and the last layer of a baseline."""

    stem_stride: StemStride = None
    num_classes: NumClasses = None
    in_channels: InChannels = None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The workers of a search."""

    executor: Annotated[
        str | None,
        typer.Option(
            help="Where jobs run: inline (this process), local (worker processes on this machine) "
            "or dask; by default local with several --workers, --devices or --memory, dask with "
            "--scheduler, and inline otherwise."
        ),
    ] = None
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of jobs that run at the same time.")
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to use, such as tcp://host:8786."),
    ] = None
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Device of each local worker, such as cuda:0,cuda:1; with dask, cuda uses only "
            "workers that have a GPU.",
        ),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory limit of each local worker, such as 4GiB."),
    ] = None

    @property
    def config(self) -> WorkerConfig:
        """The workers; raises SearchError for a wrong size of memory."""
        names = tuple(name.strip() for name in (self.devices or "").split(",") if name.strip())
        return WorkerConfig(
            executor=self.executor,
            workers=self.workers,
            scheduler=self.scheduler,
            devices=names or None,
            memory=None if self.memory is None else parse_bytes(self.memory),
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The workers, the storage and the permission of a search that goes on."""

    workers: WorkerOptions
    storage: Storage = None
    allow_code: AllowCode = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of every function of the API that trains candidates."""
        return {
            "workers": self.workers.config,
            "storage": self.storage,
            "allow_code": self.allow_code,
            "progress": True,
        }


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command that is a dataclass by its fields."""

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        """Call the command with its groups of options."""
        command(**_grouped(inspect.signature(command).parameters.values(), arguments))

    options = list(_options(inspect.signature(command).parameters.values()))
    wrapper.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {option.name: option.annotation for option in options}
    return wrapper


def _options(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """Yield the parameters, and in place of a group of options its fields."""
    for parameter in parameters:
        if fields := _group_fields(parameter):
            yield from _options(fields)
        else:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _grouped(
    parameters: Iterable[inspect.Parameter], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of each parameter, from those of all options."""
    return {
        parameter.name: parameter.annotation(**_grouped(fields, arguments))
        if (fields := _group_fields(parameter))
        else arguments[parameter.name]
        for parameter in parameters
    }


def _group_fields(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the fields of a group of options; none for a single option."""
    group: Callable[..., Any] = parameter.annotation
    has_fields = is_dataclass(parameter.annotation)
    return list(inspect.signature(group).parameters.values()) if has_fields else []


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
