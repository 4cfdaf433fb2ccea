"""Which network a search starts from: a known one, one's own as data, or one's own as code."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.architectures import BASELINES, Architecture, CustomModel, baseline
from scalesearch.architectures.baselines import Baseline
from scalesearch.architectures.foreign import is_factory_name
from scalesearch.errors import ArchitectureError
from scalesearch.experiment.refusals import raise_problems
from scalesearch.validation import validate_document, suggestion
from scalesearch.yaml_files import read_yaml


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
            problems.append(f"name: unknown baseline {self.name!r}; {suggestion(self.name, BASELINES)}")
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
        return baseline_from_architecture(name, architecture_from_document(read_yaml(Path(name)), name), **options)
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
