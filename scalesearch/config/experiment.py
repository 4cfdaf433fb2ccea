"""The experiment: everything a search needs, as frozen data."""

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
from scalesearch.config.validation import Check, require_all, suggestion, validate_document
from scalesearch.errors import ArchitectureError
from scalesearch.io import read_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """The network that a search starts from: a known baseline, or your own.

    ``width`` and ``depth`` make a small proxy of it.
    """

    name: str = "efficientnet_b0"
    """Known baseline, YAML file of stages, or ``module:factory`` (code that makes the network)."""
    width: float = 1.0
    """Multiplier of the channels, under the official rounding."""
    depth: float = 1.0
    """Multiplier of the blocks per stage, under the official rounding."""
    resolution: int | None = None
    """Pixels per side; None keeps the baseline's own."""
    stem_stride: int | None = None
    """Stride of the first convolution (1 suits small images); None keeps the baseline's own."""
    in_channels: int | None = None
    """Channels of the images; None follows the data."""
    num_classes: int | None = None
    """Classes of the classifier; None follows the data."""
    network: Architecture | None = None
    """Content of the YAML file of stages, filled in when the experiment is read."""

    def __post_init__(self) -> None:
        numbers = ("width", "depth", "resolution", "stem_stride", "in_channels", "num_classes")
        is_known = self.name in BASELINES
        if self.network is not None:
            name_check = Check("name", not is_known, "a name of its own for a network")
        else:
            name_check = Check(
                "name",
                is_known or is_factory_name(self.name),
                "a known baseline",
                f"unknown baseline {self.name!r}; {suggestion(self.name, BASELINES)}",
            )
        require_all(
            self,
            *(
                Check(
                    name,
                    (value := getattr(self, name)) is None or not value <= 0,
                    "a number above 0",
                )
                for name in numbers
            ),
            name_check,
        )

    def build_architecture(self, **data_options: int) -> Architecture | CustomModel:
        """Build the baseline; ``data_options`` fill the fields that it leaves open.

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
    """Baseline by its name, the YAML file of its stages, or the code that makes it.

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
    """Baseline of your own network, made small as any baseline is."""
    try:
        return Baseline(name, "own", "", network)(**options)
    except ValueError as error:
        raise ArchitectureError(f"baseline {name}: {error}") from error


def architecture_from_document(document: Any, origin: str) -> Architecture:
    """Architecture of a mapping with its fields and the fields of its stages."""
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
    """Images of a search, and how many of them.

    ``source``: ``digits``, ``imagefolder:PATH``, ``hf:NAME`` of the Hugging Face hub, or
    ``cifar10``, ``cifar100``, ``mnist``, ``fashion_mnist``, which are downloaded, or read from a
    folder with the archives (``cifar10:PATH``). Resident images and images read from disk give the
    same bits.
    """

    source: str = "digits"
    """Name of the source; see above."""
    train_samples: int | None = None
    """Training images, stratified and seeded; None takes all."""
    validation_samples: int | None = None
    """Validation images; None takes the source's own, else a tenth of training."""
    pixels: int | None = None
    """Side of the stored squares; None keeps equal squares, else the smallest short side."""
    skip_corrupt: bool = False
    """Leave unreadable images out instead of refusing them."""
    resident: bool | None = None
    """Hold image files in memory; None does if they take less than half of the free memory."""

    def __post_init__(self) -> None:
        require_all(
            self,
            *(
                Check(name, (value := getattr(self, name)) is None or not value < 1, "at least 1")
                for name in ("train_samples", "validation_samples", "pixels")
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A search from end to end: baseline, data, budget, recipe and search settings."""

    name: str
    """Name of the search and of its folder under ``results/``."""
    baseline: BaselineSpec = field(default_factory=BaselineSpec)
    """Network that is scaled."""
    data: DataSpec = field(default_factory=DataSpec)
    """Images to train and validate on."""
    budget: Budget = field(default_factory=Budget)
    """Cost that all candidates share."""
    recipe: Recipe = field(default_factory=Recipe)
    """Training of each candidate."""
    search: SearchSpec = field(default_factory=SearchSpec)
    """Candidates, how far each is trained, and when the search stops."""
    seed: int = 0
    """Random seed (split, initialisation, augmentation, proposals)."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

    def __post_init__(self) -> None:
        is_plain_name = self.name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        require_all(
            self,
            Check(
                "name",
                is_plain_name and not self.name.startswith("."),
                "letters, digits, '-', '_' or '.', as it names a folder",
            ),
            Check("seed", not self.seed < 0, "at least 0"),
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of every candidate; equal seeds pair candidates."""
        return tuple(self.seed + replicate for replicate in range(self.search.seeds))

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared; training ends at the last."""
        return self.search.rungs_for_epochs(self.recipe.epochs)
