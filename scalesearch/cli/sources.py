"""The baseline and the budget that a command is about: an experiment file's, or by name."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.options import refused
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture, Foreign
    from scalesearch.architectures.budget import Budget
    from scalesearch.experiment import Experiment


def baseline_and_budget(
    source: str, options: dict[str, Any], limits: dict[str, Any]
) -> "tuple[Architecture | Foreign, Budget]":
    """Of an experiment file, whose values the options override, or of a baseline."""
    from scalesearch.architectures.budget import Budget

    if is_experiment(source):
        from scalesearch.experiment import read_experiment

        overrides = [f"baseline.{name}={value}" for name, value in options.items()]
        overrides += [f"budget.{name}={value}" for name, value in limits.items()]
        experiment = read_experiment(source, overrides)
        return _as_searched(experiment), experiment.budget
    with refused("budget"):
        budget = Budget(**limits)
    return named(source, **options), budget


def is_experiment(source: str) -> bool:
    """Whether a source is the file of an experiment, and no baseline."""
    if Path(source).suffix not in (".yaml", ".yml") and not Path(source).is_file():
        return False
    from scalesearch.experiment import is_network_file

    return not is_network_file(source)


def named(name: str, **options: Any) -> "Architecture | Foreign":
    """A baseline by its name, by the YAML file of its stages, or by the code that makes it."""
    from scalesearch.architectures import BASELINES, baseline

    if name in BASELINES:
        return baseline(name, **options)  # without pydantic, which experiment loads
    from scalesearch.experiment import named_baseline

    return named_baseline(name, **options)


def as_data(network: "Architecture | Foreign") -> "Architecture":
    """The network, which has to be data. Raises ArchitectureError where code makes it."""
    from scalesearch.architectures import Architecture

    if not isinstance(network, Architecture):
        raise ArchitectureError(
            f"baseline {network.factory}: this command needs a network as data, whose rounding it "
            "knows, and code has its own; write its stages as YAML"
        )
    return network


@contextmanager
def code(allowed: bool) -> Iterator[None]:
    """Networks made by code may be made within, if that is allowed; torch is loaded only then."""
    if not allowed:
        yield
        return
    from scalesearch.nets import code_allowed

    with code_allowed():
        yield


def _as_searched(experiment: "Experiment") -> "Architecture | Foreign":
    """The baseline that a search of the experiment starts from: its ends follow the data."""
    from scalesearch.data import load
    from scalesearch.errors import DataError
    from scalesearch.progress import images_shown

    try:
        with images_shown() as on_data:
            data = load(experiment.data, experiment.seed, progress=on_data)
    except DataError as error:
        warnings.warn(f"{error}; counted for RGB images of 1000 classes", stacklevel=2)
        return experiment.baseline.build()
    return experiment.baseline.build(in_channels=data.channels, num_classes=data.num_classes)
