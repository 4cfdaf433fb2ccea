"""The baseline and the budget that a command is about: an experiment file's, or by name."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.options import argument_errors
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture, CustomModel
    from scalesearch.architectures.budget import Budget
    from scalesearch.experiment import Experiment


def baseline_and_budget(
    source: str, options: dict[str, Any], budget_options: dict[str, Any]
) -> "tuple[Architecture | CustomModel, Budget]":
    """Of an experiment file, whose values the options override, or of a baseline."""
    from scalesearch.architectures.budget import Budget

    if is_experiment(source):
        from scalesearch.experiment import read_experiment

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
    from scalesearch.experiment import is_network_file

    return not is_network_file(source)


def read_baseline(name: str, **options: Any) -> "Architecture | CustomModel":
    """A baseline by its name, by the YAML file of its stages, or by the code that makes it."""
    from scalesearch.architectures import BASELINES, baseline

    if name in BASELINES:
        return baseline(name, **options)  # without pydantic, which experiment loads
    from scalesearch.experiment import named_baseline

    return named_baseline(name, **options)


def require_architecture(network: "Architecture | CustomModel") -> "Architecture":
    """The network, which has to be data. Raises ArchitectureError where code makes it."""
    from scalesearch.architectures import Architecture

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
    from scalesearch.nets import code_allowed

    with code_allowed():
        yield


def _baseline_for_data(experiment: "Experiment") -> "Architecture | CustomModel":
    """The baseline that a search of the experiment starts from: its ends follow the data."""
    from scalesearch.data import load_dataset
    from scalesearch.errors import DataError
    from scalesearch.progress import show_images

    try:
        with show_images() as on_data:
            dataset = load_dataset(experiment.data, experiment.seed, progress=on_data)
    except DataError as error:
        warnings.warn(f"{error}; counted for RGB images of 1000 classes", stacklevel=2)
        return experiment.baseline.build_architecture()
    return experiment.baseline.build_architecture(in_channels=dataset.channels, num_classes=dataset.num_classes)
