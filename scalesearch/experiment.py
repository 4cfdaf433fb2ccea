"""One YAML file -> one Experiment.

Everything a search needs is in the file, and everything wrong with it is told at once, each
problem with its dotted path.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from scalesearch.architectures import BASELINES, Architecture, Foreign, baseline
from scalesearch.architectures.baselines import Baseline
from scalesearch.architectures.budget import Budget
from scalesearch.architectures.foreign import names_factory
from scalesearch.errors import ArchitectureError, ExperimentError
from scalesearch.files import write_text
from scalesearch.presets import PRESETS, preset_document
from scalesearch.recipe import Recipe
from scalesearch.rounding import rounding_from
from scalesearch.validation import checked, hint
from scalesearch.yaml_files import read_yaml, yaml_value

Reference: TypeAlias = Literal["depth", "width", "resolution", "uniform", "paper", "fast"]
REFERENCES: tuple[Reference, ...] = ("depth", "width", "resolution", "uniform", "paper")
PLANNED = ("lattice", "cartesian")


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
        elif self.name not in BASELINES and not names_factory(self.name):
            problems.append(f"name: unknown baseline {self.name!r}; {hint(self.name, BASELINES)}")
        _refuse(problems)

    def build(self, **known: int) -> Architecture | Foreign:
        """The network. ``known`` (``in_channels``, ``num_classes``) fills what the file left open.

        Raises ArchitectureError for an unknown name or an option that breaks a rule.
        """
        options = {
            option: value
            for option, value in {**known, **_given(self)}.items()
            if option not in ("name", "network")
        }
        if self.network is not None:
            return own_baseline(self.name, self.network, **options)
        return named_baseline(self.name, **options)


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
        _refuse(
            f"{name}: need at least 1, got {value}"
            for name in ("train_samples", "validation_samples", "pixels")
            if (value := getattr(self, name)) is not None and value < 1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """Which candidates are trained, and how often.

    ``sampler``: ``lattice`` (all shares that are multiples of 1/``step``), ``cartesian`` (the
    classic grid: ``alpha``, ``beta``, ``gamma`` in their ranges, ``step`` apart, with
    |alpha * beta^2 * gamma^2 - F| <= ``product_tolerance``), or Optuna's ``tpe``, ``gp``,
    ``sobol``, ``random``. ``step``: 4 for the lattice and 0.05 for the grid where it is None.
    ``trials``: how many candidates a sampler proposes (15 where it is None); a grid stops there.
    ``seeds``: runs of each candidate; ``together``: train them at the same time, which is faster
    where one network does not fill the device (a GPU). ``references``: points trained beside the
    searched ones.
    """

    sampler: Literal["lattice", "cartesian", "tpe", "gp", "sobol", "random"] = "lattice"
    step: float | None = None
    trials: int | None = None
    seeds: int = 3
    together: bool = False
    references: tuple[Reference, ...] = REFERENCES
    alpha: tuple[float, float] = (1.0, 2.0)
    beta: tuple[float, float] = (1.0, 1.5)
    gamma: tuple[float, float] = (1.0, 1.5)
    product_tolerance: float = 0.1

    def __post_init__(self) -> None:
        whole = self.step is None or (self.step >= 1 and self.step % 1 == 0)
        checks = [
            ("step", self.step is None or 0 < self.step < math.inf, "a step above 0"),
            ("step", self.sampler != "lattice" or whole, "a whole number (of parts) for a lattice"),
            ("trials", self.trials is None or self.trials >= 1, "at least 1"),
            ("seeds", self.seeds >= 1, "at least 1"),
            ("product_tolerance", self.product_tolerance > 0, "a tolerance above 0"),
        ]
        checks += [
            (
                name,
                0 < getattr(self, name)[0] <= getattr(self, name)[1] < 100,
                "0 < low <= high < 100",
            )
            for name in ("alpha", "beta", "gamma")
        ]
        _refuse(
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, holds, rule in checks
            if not holds
        )

    @property
    def asks(self) -> int | None:
        """How many proposals a sampler makes; None for a grid, which knows its own size."""
        return None if self.sampler in PLANNED else self.trials or 15


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
        plain = self.name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        problems = [
            f"name: need letters, digits, '-', '_' or '.', as it names a folder, got {self.name!r}"
        ]
        problems = problems if not plain or self.name.startswith(".") else []
        if self.seed < 0:
            problems.append(f"seed: need at least 0, got {self.seed}")
        _refuse(problems)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds every candidate is trained with; equal seeds pair candidates."""
        return tuple(self.seed + replicate for replicate in range(self.search.seeds))


def read_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read and check an experiment file; ``overrides`` are ``dotted.key=value`` strings.

    Raises ExperimentError with every problem found, one a line.
    """
    path = Path(path)
    document = read_yaml(path)
    if document is None:
        raise ExperimentError(f"{path}: the file is empty; begin with `name: ...`")
    for setting in overrides:
        override(document, setting)
    return experiment_from(document, str(path))


def named_baseline(name: str, **options: Any) -> Architecture | Foreign:
    """A baseline by its name, by the YAML file of its stages, or by the code that makes it.

    Raises ArchitectureError or ExperimentError for a name, a file or an option that is refused.
    """
    if names_file(name):
        return own_baseline(name, network_from(read_yaml(Path(name)), name), **options)
    if names_factory(name):
        if "stem_stride" in options:
            raise ArchitectureError(f"baseline {name}: stem_stride is for its code to decide")
        try:
            return Foreign(factory=name, **options)
        except ValueError as error:
            raise ArchitectureError(f"baseline {name}: {error}") from error
    return baseline(name, **options)


def own_baseline(name: str, network: Architecture, **options: Any) -> Architecture:
    """A network of one's own, made small as any baseline is."""
    try:
        return Baseline(name, "own", "", network)(**options)
    except ValueError as error:
        raise ArchitectureError(f"baseline {name}: {error}") from error


def network_from(document: Any, where: str) -> Architecture:
    """The network whose fields, and whose stages' fields, a mapping spells out."""
    return checked(Architecture, document, where, [])


def is_network_file(path: str | Path) -> bool:
    """Whether a YAML file describes a network, and not an experiment."""
    document = read_yaml(Path(path))
    return isinstance(document, Mapping) and "stages" in document


def names_file(name: str) -> bool:
    """Whether a baseline's name is that of a YAML file."""
    return Path(name).suffix in (".yaml", ".yml")


def experiment_from(document: Any, where: str = "experiment") -> Experiment:
    """The experiment a mapping describes; ``where`` names its origin in messages."""
    problems: list[str] = []
    if isinstance(document, Mapping):
        document = _with_network(_with_preset(document, problems))
        document = _with_rounding(document, problems)
    return checked(Experiment, document, where, problems)


def to_document(experiment: Experiment) -> dict[str, Any]:
    """The resolved experiment as plain values, every default spelled out."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(experiment))
    return plain


def write_experiment(path: Path, experiment: Experiment) -> None:
    """Write the resolved experiment as YAML that ``read_experiment`` reads back."""
    write_text(path, yaml.safe_dump(to_document(experiment), sort_keys=False))


def override(document: Any, setting: str) -> None:
    """Set a value inside a document, as ``dotted.key=value`` says it. Raises ExperimentError."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ExperimentError(f"--set {setting}: need key=value, such as recipe.epochs=3")
    try:
        value = yaml_value(text)
    except yaml.YAMLError as error:
        raise ExperimentError(f"--set {setting}: the value is not valid YAML: {error}") from error
    *parents, leaf = key.split(".")
    for parent in parents:
        if not isinstance(document, dict):
            break
        document = document.setdefault(parent, {})
    if not isinstance(document, dict):
        raise ExperimentError(f"--set {setting}: {key.rpartition('.')[0]} holds no further keys")
    document[leaf] = value


def differences(one: Experiment, other: Experiment) -> list[str]:
    """Dotted keys in which two experiments differ, with both values."""
    ours, theirs = (dict(_flat(to_document(experiment))) for experiment in (one, other))
    return [
        f"{key}: {ours.get(key)!r} here, {theirs.get(key)!r} there"
        for key in ours
        if ours[key] != theirs.get(key)
    ]


def _with_preset(document: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The document with ``recipe: {preset: NAME, ...}`` written out."""
    recipe = document.get("recipe")
    if not isinstance(recipe, Mapping) or "preset" not in recipe:
        return dict(document)
    preset, rest = recipe["preset"], {k: v for k, v in recipe.items() if k != "preset"}
    if isinstance(preset, str) and preset in PRESETS:
        return {**document, "recipe": _merged(preset_document(preset), rest)}
    problems.append(f"recipe.preset: unknown {preset!r}; {hint(preset, PRESETS)}")
    return {**document, "recipe": rest}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings; where both hold a key, ``over`` changes it, or a part of it."""
    both = {
        key: _merged(under[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(under.get(key), Mapping)
    }
    return {**under, **over, **both}


def _with_rounding(document: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The document with ``budget.rounding: {profile: NAME, ...}`` written out."""
    budget = document.get("budget")
    if not isinstance(budget, Mapping) or not isinstance(budget.get("rounding"), Mapping):
        return document
    try:
        rounding = {"rounding": dataclasses.asdict(rounding_from(dict(budget["rounding"])))}
    except ValueError as error:
        problems.extend(f"budget.rounding.{part}" for part in str(error).splitlines())
        rounding = {}
    rest = {key: value for key, value in budget.items() if key != "rounding"}
    return {**document, "budget": {**rest, **rounding}}


def _with_network(document: dict[str, Any]) -> dict[str, Any]:
    """The document with ``baseline: {name: FILE.yaml}`` written out, so that a results folder holds
    the network that was searched, whatever becomes of the file."""
    spec = document.get("baseline")
    if not isinstance(spec, Mapping) or spec.get("network") is not None:
        return document
    if not names_file(str(spec.get("name", ""))):
        return document
    network = network_from(read_yaml(Path(spec["name"])), spec["name"])
    return {**document, "baseline": {**spec, "network": dataclasses.asdict(network)}}


def _refuse(problems: Iterator[str] | list[str]) -> None:
    if found := list(problems):
        raise ValueError("\n".join(found))


def _given(spec: BaselineSpec) -> dict[str, Any]:
    options = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    return {name: value for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def _flat(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
