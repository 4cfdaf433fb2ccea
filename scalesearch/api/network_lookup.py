"""Networks by name: baselines, files, family members, candidates, others.

Imports are inside the functions: `scalesearch cost` loads neither torch nor numpy.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.errors import ArchitectureError, DataError

if TYPE_CHECKING:
    from scalesearch.architectures.custom import CustomModel
    from scalesearch.architectures.stages import Architecture
    from scalesearch.candidates.budget import Budget
    from scalesearch.config.experiment import Experiment
    from scalesearch.models.named import NamedNetwork

BASELINE_OPTIONS = (
    "depth",
    "width",
    "resolution",
    "stem_stride",
    "num_classes",
    "in_channels",
)
"""What may be changed of a baseline."""


@contextmanager
def argument_errors(where: str) -> Iterator[None]:
    """Raise ArchitectureError for a ValueError within, with the name of the argument."""
    try:
        yield
    except ValueError as error:
        raise ArchitectureError(f"{where}: {error}") from error


@contextmanager
def code_allowed_if(allowed: bool) -> Iterator[None]:
    """Allow networks made by code within, if ``allowed``; torch is loaded only then."""
    if not allowed:
        yield
        return
    from scalesearch.models.custom_model import code_allowed

    with code_allowed():
        yield


def is_experiment(source: str) -> bool:
    """Whether a source is the file of an experiment, and not a baseline."""
    if Path(source).suffix not in (".yaml", ".yml") and not Path(source).is_file():
        return False
    from scalesearch.config.experiment import is_network_file

    return not is_network_file(source)


def read_baseline(name: str, **options: Any) -> "Architecture | CustomModel":
    """Return a baseline by its name, its YAML file, or ``module:factory``.

    ``options``: of BASELINE_OPTIONS; those that are None keep the baseline's own value.
    """
    from scalesearch.architectures.baselines import BASELINES, baseline

    changes = {key: value for key, value in options.items() if value is not None}
    if name in BASELINES:
        return baseline(name, **changes)
    from scalesearch.config.experiment import named_baseline

    return named_baseline(name, **changes)


def require_architecture(network: "Architecture | CustomModel") -> "Architecture":
    """Return the network if it is data; raise ArchitectureError if code makes it."""
    from scalesearch.architectures.stages import Architecture

    if not isinstance(network, Architecture):
        raise ArchitectureError(
            f"baseline {network.factory}: this command needs a network as data, whose rounding it "
            "knows, and code has its own; write its stages as YAML"
        )
    return network


def read_baseline_and_budget(
    source: str, options: Mapping[str, Any], budget_options: Mapping[str, Any]
) -> "tuple[Architecture | CustomModel, Budget]":
    """Return the baseline and budget of an experiment file or a baseline's name.

    ``options``, ``budget_options``: values to change; None keeps a value as it is.
    """
    from scalesearch.candidates.budget import Budget

    budget_values = {key: value for key, value in budget_options.items() if value is not None}
    if is_experiment(source):
        from scalesearch.config.reading import read_experiment

        overrides = [
            f"baseline.{name}={value}" for name, value in options.items() if value is not None
        ]
        overrides += [f"budget.{name}={value}" for name, value in budget_values.items()]
        experiment = read_experiment(source, overrides)
        return _baseline_for_data(experiment), experiment.budget
    with argument_errors("budget"):
        budget = Budget(**budget_values)
    return read_baseline(source, **options), budget


def _baseline_for_data(experiment: "Experiment") -> "Architecture | CustomModel":
    """Return the baseline of an experiment with the channels and classes of its data."""
    from scalesearch.data.sources.by_name import load_dataset
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


def read_named_network(text: str) -> "NamedNetwork":
    """Return the network that a text names, under that name.

    The text is a baseline, ``efficientnet_b0`` to ``b7``, a YAML file of stages,
    ``FAMILY.json:b2``, ``FOLDER:best``, ``NETWORK.safetensors``, ``torchvision:NAME`` or
    ``timm:NAME``.
    """
    from scalesearch.models.named import NamedNetwork, external_network, is_external_name
    from scalesearch.models.network import Network

    if is_external_name(text):
        return NamedNetwork(text, external_network(text))
    if text.endswith(".safetensors"):
        from scalesearch.training.network_file import read_network

        saved_network = read_network(text)
        network = saved_network.network
        options = network.options if isinstance(network, Network) else None
        return NamedNetwork(text, saved_network.architecture, options)
    from scalesearch.deploy.network_references import is_network_reference, network_from_reference

    if is_network_reference(text):
        return NamedNetwork(text, network_from_reference(text).network)
    from scalesearch.benchmarking.model_table import released_efficientnet

    return NamedNetwork(text, released_efficientnet(text) or read_baseline(text))


def read_named_networks(texts: Sequence[str]) -> "list[NamedNetwork]":
    """Return each network once, in the order of the texts."""
    return [read_named_network(text) for text in dict.fromkeys(texts)]
