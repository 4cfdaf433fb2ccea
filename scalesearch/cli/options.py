"""Options that several commands share, and what becomes of them.

The baseline and the budget that a command is about: an experiment file's, or by name.

Options that say who trains, and where it is written down.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from scalesearch.errors import ArchitectureError, SearchError

if TYPE_CHECKING:
    from scalesearch.architectures.custom import CustomModel
    from scalesearch.architectures.stages import Architecture
    from scalesearch.candidates.budget import Budget
    from scalesearch.config.experiment import Experiment


Item = TypeVar("Item")

Width = Annotated[float | None, typer.Option(help="Width multiplier of the baseline.")]
Depth = Annotated[float | None, typer.Option(help="Depth multiplier of the baseline.")]
Resolution = Annotated[int | None, typer.Option(help="Input pixels per side.", min=1)]
StemStride = Annotated[int | None, typer.Option(help="1 suits small images.", min=1)]
InChannels = Annotated[int | None, typer.Option(help="Channels of the images.", min=1)]
NumClasses = Annotated[int | None, typer.Option(help="Outputs of the classifier.", min=1)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="recipe.epochs=3")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run the code of a baseline module:factory.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
RoundingName = Annotated[
    str | None, typer.Option(help="Rounding profile, such as official, nearest or even.")
]


def given_options(**options: Item | None) -> dict[str, Item]:
    """The options that were given; the others keep what the baseline has."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def argument_errors(where: str) -> Iterator[None]:
    """A rule that a value given here breaks is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise ArchitectureError(f"{where}: {error}") from error


def baseline_and_budget(
    source: str, options: dict[str, Any], budget_options: dict[str, Any]
) -> "tuple[Architecture | CustomModel, Budget]":
    """Of an experiment file, whose values the options override, or of a baseline."""
    from scalesearch.candidates.budget import Budget

    if is_experiment(source):
        from scalesearch.config.reading import read_experiment

        overrides = [f"baseline.{name}={value}" for name, value in options.items()]
        overrides += [f"budget.{name}={value}" for name, value in budget_options.items()]
        experiment = read_experiment(source, overrides)
        return _baseline_for_data(experiment), experiment.budget
    with argument_errors("budget"):
        budget = Budget(**budget_options)
    return read_baseline(source, **options), budget


def is_experiment(source: str) -> bool:
    """Whether a source is the file of an experiment, and no baseline."""
    if Path(source).suffix not in (".yaml", ".yml") and not Path(source).is_file():
        return False
    from scalesearch.config.experiment import is_network_file

    return not is_network_file(source)


def read_baseline(name: str, **options: Any) -> "Architecture | CustomModel":
    """A baseline by its name, by the YAML file of its stages, or by the code that makes it."""
    from scalesearch.architectures.baselines import BASELINES, baseline

    if name in BASELINES:
        return baseline(name, **options)  # without pydantic, which experiment loads
    from scalesearch.config.experiment import named_baseline

    return named_baseline(name, **options)


def require_architecture(network: "Architecture | CustomModel") -> "Architecture":
    """The network, which has to be data. Raises ArchitectureError where code makes it."""
    from scalesearch.architectures.stages import Architecture

    if not isinstance(network, Architecture):
        raise ArchitectureError(
            f"baseline {network.factory}: this command needs a network as data, whose rounding it "
            "knows, and code has its own; write its stages as YAML"
        )
    return network


@contextmanager
def code_allowed_if(allowed: bool) -> Iterator[None]:
    """Networks made by code may be made within, if that is allowed; torch is loaded only then."""
    if not allowed:
        yield
        return
    from scalesearch.models.custom_model import code_allowed

    with code_allowed():
        yield


def _baseline_for_data(experiment: "Experiment") -> "Architecture | CustomModel":
    """The baseline that a search of the experiment starts from: its ends follow the data."""
    from scalesearch.data.sources.by_name import load_dataset
    from scalesearch.errors import DataError
    from scalesearch.reporting.terminal.display import show_images

    try:
        with show_images() as on_data:
            dataset = load_dataset(experiment.data, experiment.seed, progress=on_data)
    except DataError as error:
        warnings.warn(f"{error}; counted for RGB images of 1000 classes", stacklevel=2)
        return experiment.baseline.build_architecture()
    return experiment.baseline.build_architecture(
        in_channels=dataset.channels, num_classes=dataset.num_classes
    )


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
