"""Which network a search starts from: a known one, one's own as data, or one's own as code.

The experiment: everything a search needs, as frozen data.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.baselines.definition import Baseline
from scalesearch.architectures.custom import CustomModel, is_factory_name
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.budget import Budget
from scalesearch.config.recipe import Recipe
from scalesearch.config.search_spec import SearchSpec
from scalesearch.config.validation import raise_problems, suggestion, validate_document
from scalesearch.errors import ArchitectureError
from scalesearch.io import read_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """A baseline by name, or one's own, made small where that is asked for.

    ``name``: a known one, a YAML file of stages, whose content becomes ``network`` when the
    experiment is read, or ``module:factory``, code that makes the network. ``width`` and ``depth``
    are multipliers, ``resolution`` is in pixels; None keeps the baseline's own. ``in_channels``
    and ``num_classes`` follow the data where they are None.
    """

    name: str = "efficientnet_b0"
    width: float = 1.0
    depth: float = 1.0
    resolution: int | None = None
    stem_stride: int | None = None
    in_channels: int | None = None
    num_classes: int | None = None
    network: Architecture | None = None

    def __post_init__(self) -> None:
        numbers = ("width", "depth", "resolution", "stem_stride", "in_channels", "num_classes")
        problems = [
            f"{name}: need a number above 0, got {value}"
            for name in numbers
            if (value := getattr(self, name)) is not None and value <= 0
        ]
        if self.network is not None:
            if self.name in BASELINES:
                problems.append(f"name: need a name of its own for a network, got {self.name!r}")
        elif self.name not in BASELINES and not is_factory_name(self.name):
            problems.append(
                f"name: unknown baseline {self.name!r}; {suggestion(self.name, BASELINES)}"
            )
        raise_problems(problems)

    def build_architecture(self, **data_options: int) -> Architecture | CustomModel:
        """The network. ``known`` (``in_channels``, ``num_classes``) fills what the file left open.

        Raises ArchitectureError for an unknown name or an option that breaks a rule.
        """
        options = {
            option: value
            for option, value in {**data_options, **_given_options(self)}.items()
            if option not in ("name", "network")
        }
        if self.network is not None:
            return baseline_from_architecture(self.name, self.network, **options)
        return named_baseline(self.name, **options)


def named_baseline(name: str, **options: Any) -> Architecture | CustomModel:
    """A baseline by its name, by the YAML file of its stages, or by the code that makes it.

    Raises ArchitectureError or ExperimentError for a name, a file or an option that is refused.
    """
    if is_yaml_name(name):
        return baseline_from_architecture(
            name, architecture_from_document(read_yaml(Path(name)), name), **options
        )
    if is_factory_name(name):
        if "stem_stride" in options:
            raise ArchitectureError(f"baseline {name}: stem_stride is for its code to decide")
        try:
            return CustomModel(factory=name, **options)
        except ValueError as error:
            raise ArchitectureError(f"baseline {name}: {error}") from error
    return baseline(name, **options)


def baseline_from_architecture(name: str, network: Architecture, **options: Any) -> Architecture:
    """A network of one's own, made small as any baseline is."""
    try:
        return Baseline(name, "own", "", network)(**options)
    except ValueError as error:
        raise ArchitectureError(f"baseline {name}: {error}") from error


def architecture_from_document(document: Any, origin: str) -> Architecture:
    """The network whose fields, and whose stages' fields, a mapping spells out."""
    return validate_document(Architecture, document, origin, [])


def is_network_file(path: str | Path) -> bool:
    """Whether a YAML file describes a network, and not an experiment."""
    document = read_yaml(Path(path))
    return isinstance(document, Mapping) and "stages" in document


def is_yaml_name(name: str) -> bool:
    """Whether a baseline's name is that of a YAML file."""
    return Path(name).suffix in (".yaml", ".yml")


def _given_options(spec: BaselineSpec) -> dict[str, Any]:
    options = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which images, and how many of them.

    ``source``: ``digits``, ``imagefolder:PATH``, ``hf:NAME`` of the Hugging Face hub, or
    ``cifar10``, ``cifar100``, ``mnist``, ``fashion_mnist``, which are downloaded, or read from a
    folder that has the archives (``cifar10:PATH``). ``train_samples``, ``validation_samples``: how
    many are drawn (stratified, seeded); None takes all of training, and a tenth of it to validate
    on where the source has no validation images of its own. ``pixels``: side of the square the
    images are stored at; None keeps them as they are where all are equal squares, and takes the
    smallest short side where they are not. ``skip_corrupt``: leave unreadable images out instead
    of refusing them. ``resident``: hold the images of ``imagefolder`` and ``hf`` in memory, or
    read each batch from disk; None holds them where they take less than half of what is free. Both
    give the same bits.
    """

    source: str = "digits"
    train_samples: int | None = None
    validation_samples: int | None = None
    pixels: int | None = None
    skip_corrupt: bool = False
    resident: bool | None = None

    def __post_init__(self) -> None:
        raise_problems(
            f"{name}: need at least 1, got {value}"
            for name in ("train_samples", "validation_samples", "pixels")
            if (value := getattr(self, name)) is not None and value < 1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A search from end to end. ``seed`` decides the split, the streams and the proposals."""

    name: str
    baseline: BaselineSpec = field(default_factory=BaselineSpec)
    data: DataSpec = field(default_factory=DataSpec)
    budget: Budget = field(default_factory=Budget)
    recipe: Recipe = field(default_factory=Recipe)
    search: SearchSpec = field(default_factory=SearchSpec)
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        is_plain_name = self.name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        problems = [
            f"name: need letters, digits, '-', '_' or '.', as it names a folder, got {self.name!r}"
        ]
        problems = problems if not is_plain_name or self.name.startswith(".") else []
        if self.seed < 0:
            problems.append(f"seed: need at least 0, got {self.seed}")
        raise_problems(problems)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds every candidate is trained with; equal seeds pair candidates."""
        return tuple(self.seed + replicate for replicate in range(self.search.seeds))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which candidates are compared; the last is where training ends."""
        return self.search.rungs_for_epochs(self.recipe.epochs)
