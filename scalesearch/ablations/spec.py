"""The specification of an ablation, from its file to its experiments.

The file lists the networks, so that they can be read and changed; the paper's results for them are
in ``scaling.published``. A test compares the files' full size with ``scaling.published``.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import apply_override, experiment_from_document
from scalesearch.config.validation import suggestion, validate_document
from scalesearch.errors import ExperimentError
from scalesearch.families.origin import read_family_source
from scalesearch.io import read_yaml
from scalesearch.scaling.coefficients import Multipliers, Shares

FigureKind: TypeAlias = Literal["panels", "curves", "rows", "costs"]
"""A panel for each series; all curves in one; bars of a table; against parameters and FLOPs."""

AXES = ("depth", "width", "resolution")
ABLATION_FOLDERS = (
    Path(__file__).parent / "files",  # in an installed package
    Path(__file__).parents[2] / "experiments" / "ablations",  # in a checkout
)
FULL_SIZE = "full"
SAME_COST_TOLERANCE = 0.01
"""Relative difference of cost within which a network has the baseline's cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSeries:
    """A series of networks: a curve of a figure, or a row of a table.

    Its networks have either multipliers of the baseline or a direction and factors.
    """

    name: str
    depth: float | tuple[float, ...] = 1.0
    """Depth multiplier: one number for all networks, or a list with one for each."""
    width: float | tuple[float, ...] = 1.0
    """Width multiplier, likewise."""
    resolution: float | tuple[float, ...] = 1.0
    """Resolution multiplier, likewise."""
    along: str | None = None
    """Direction: a scheme (``published.SCHEMES``), ``ALPHA,BETA,GAMMA``, or the path of a
    ``coefficients.json``."""
    factors: tuple[float, ...] = ()
    """Costs along the direction, as multiples of the baseline's."""
    matched: bool = False
    """Whether to take the nearest network with this *realised* cost; else the multipliers are for
    this nominal cost, as in the paper, whatever the rounded network costs."""

    def __post_init__(self) -> None:
        problems = [
            *self._name_problems(),
            *(self._direction_problems() if self.along else self._multiplier_problems()),
        ]
        if problems:
            raise ValueError("\n".join(problems))

    def _name_problems(self) -> Iterator[str]:
        if not self.name.strip() or {";", "+"} & set(self.name):
            yield f"name: need a text without ';' and '+', got {self.name!r}"

    def _multiplier_problems(self) -> Iterator[str]:
        if self.factors or self.matched:
            yield "along: need a direction for factors, such as paper, got none"
        lists = [value for axis in AXES if isinstance(value := getattr(self, axis), tuple)]
        if not all(lists) or len({len(values) for values in lists}) > 1:
            yield f"depth, width, resolution: need lists of one length, got {lists}"
        yield from _positive_problems({axis: getattr(self, axis) for axis in AXES})

    def _direction_problems(self) -> Iterator[str]:
        if any(getattr(self, axis) != 1 for axis in AXES):
            yield f"along: need either a direction or multipliers, got {self.along!r} and both"
        if not self.factors:
            yield "factors: need at least one, such as [2, 4, 8]"
        yield from _positive_problems({"factors": self.factors})


@dataclass(frozen=True, slots=True, kw_only=True)
class GradCamConfig:
    """Settings of Grad-CAM heatmaps."""

    images: int = 4
    """Number of images, the same for all networks."""
    least_pixels: int = 7
    """Heatmaps are taken after the last stage of the baseline whose maps are at least this wide,
    and after the same stage in all networks; at 224 pixels that is the head."""

    def __post_init__(self) -> None:
        problems = [
            f"{name}: need at least 1, got {getattr(self, name)}"
            for name in ("images", "least_pixels")
            if getattr(self, name) < 1
        ]
        if problems:
            raise ValueError("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """A comparison of the paper, or a similar one, at one size.

    ``data``, ``budget``, ``recipe`` and ``device`` are as in an experiment.
    """

    name: str
    title: str
    source: str
    """Where the paper prints it."""
    figure: FigureKind
    size: str = "full"
    limits: str = ""
    """Text on what this size leaves out of the paper's comparison."""
    baselines: dict[str, dict[str, Any]] = field(default_factory=lambda: {"efficientnet_b0": {}})
    """Baselines by name, each with its changes of ``baseline``; each series is trained on all."""
    baseline: dict[str, Any] = field(default_factory=dict)
    """Settings of all baselines, as in an experiment."""
    data: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    series: tuple[AblationSeries, ...] = ()
    against: str | None = None
    """The series with which all others are compared."""
    maps: GradCamConfig | None = None
    """Settings of Grad-CAM; None for no heatmaps."""
    seeds: int = 3
    """Number of seeds."""
    seed: int = 0
    """The first seed."""
    device: str = "auto"

    def __post_init__(self) -> None:
        names = [series.name for series in self.series]
        checks = (
            ("series", bool(names), "at least one", names),
            ("baselines", bool(self.baselines), "at least one", self.baselines),
            ("against", self.against in (None, *names), f"one of {', '.join(names)}", self.against),
        )
        problems = [
            f"{name}: need {rule}, got {value!r}"
            for name, is_valid, rule, value in checks
            if not is_valid
        ]
        if problems:
            raise ValueError("\n".join(problems))


def _positive_problems(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not 0 < number < 1000:
                yield f"{name}: need numbers above 0, got {number!r}"


def ablation_names() -> tuple[str, ...]:
    """List the names of the ablations that come with scalesearch."""
    return tuple(
        sorted({path.stem for folder in ABLATION_FOLDERS for path in folder.glob("*.yaml")})
    )


def read_ablation(name: str, size: str = FULL_SIZE, overrides: Sequence[str] = ()) -> Ablation:
    """Read an ablation by its name, or from the path of a YAML file, at a size.

    ``overrides``: ``dotted.key=value``, applied after the settings of the size. Raises
    ExperimentError with all problems.
    """
    path = _ablation_path(name)
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ExperimentError(f"{path}: need a mapping of keys to values, got {document!r}")
    document = dict(document)
    sizes = {FULL_SIZE: {}, **_optional_mapping(document.pop("sizes", None), f"{path}: sizes")}
    if size not in sizes:
        raise ExperimentError(f"{path}: unknown size {size!r}; {suggestion(size, sizes)}")
    size_settings = _optional_mapping(sizes[size], f"{path}: sizes.{size}")
    document = merge_mappings(document, {**size_settings, "size": size})
    for override in overrides:
        apply_override(document, override)
    document["series"] = _series_list(document.get("series"), path)
    if isinstance(baselines := document.get("baselines"), Mapping):
        document["baselines"] = {k: v for k, v in baselines.items() if v is not None}
    return validate_document(Ablation, document, str(path), [])


def merge_mappings(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings; values of ``override`` replace those of ``base``."""
    result = dict(base)
    for key, value in override.items():
        base_value = base.get(key)
        if isinstance(value, Mapping):
            result[key] = merge_mappings(
                base_value if isinstance(base_value, Mapping) else {}, value
            )
        else:
            result[key] = value
    return result


def _optional_mapping(value: Any, location: str) -> Mapping[str, Any]:
    """Return a part of a file, empty if it is left out."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{location}: need a mapping of keys to values, got {value!r}")
    return value


def _ablation_path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    path = next(
        (p for folder in ABLATION_FOLDERS if (p := folder / f"{name}.yaml").is_file()), None
    )
    if path is None:
        raise ExperimentError(
            f"ablation: unknown name {name!r}; {suggestion(name, ablation_names())}, or give the "
            "path of a YAML file"
        )
    return path


def _series_list(series: Any, path: Path) -> list[dict[str, Any]]:
    """List the series with their names; a size leaves one out by setting it to null."""
    if not isinstance(series, Mapping):
        raise ExperimentError(
            f"{path}: series: need a mapping of names to networks, got {series!r}"
        )
    series = {name: value for name, value in series.items() if value is not None}
    invalid = [name for name, value in series.items() if not isinstance(value, Mapping)]
    if invalid:
        raise ExperimentError(f"{path}: series.{invalid[0]}: need a mapping such as {{width: 2}}")
    return [{"name": str(name), **value} for name, value in series.items()]


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """One network of a series on a baseline."""

    name: str
    """Name of its cell in the search."""
    series: str
    baseline: str
    nominal_multipliers: Multipliers
    """Multipliers before rounding; those of its shares for a matched point."""
    factor: float
    """Cost over the baseline's, realised for a matched point, else nominal."""
    shares: Shares | None = None
    """Shares of a matched point; else None."""

    @property
    def is_matched(self) -> bool:
        """Whether its realised cost is the one wanted."""
        return self.shares is not None

    @property
    def document(self) -> dict[str, Any]:
        """The point as an entry of an experiment's ``search.points``."""
        names = {"name": self.name, "role": self.series}
        if self.shares is not None:
            return {**names, "factor": self.factor, "shares": [*self.shares.as_tuple()]}
        return {**names, **dataclasses.asdict(self.nominal_multipliers)}


def ablation_points(ablation: Ablation, baseline: str) -> tuple[AblationPoint, ...]:
    """List the networks of all series on a baseline."""
    return tuple(point for series in ablation.series for point in _series_points(series, baseline))


def ablation_experiments(ablation: Ablation) -> dict[str, Experiment]:
    """Make the experiment of each baseline, which trains all networks and seeds.

    Raises ExperimentError for settings that an experiment does not allow.
    """
    return {name: _experiment(ablation, name) for name in ablation.baselines}


def _experiment(ablation: Ablation, baseline: str) -> Experiment:
    document = {
        "name": f"{ablation.name}-{ablation.size}-{baseline}",
        "baseline": {"name": baseline, **ablation.baseline, **ablation.baselines[baseline]},
        "data": ablation.data,
        "budget": ablation.budget,
        "recipe": ablation.recipe,
        "search": {
            "sampler": "points",
            "points": [point.document for point in ablation_points(ablation, baseline)],
            "references": [],
            "pruner": "none",
            "race": None,
            "seeds": ablation.seeds,
        },
        "seed": ablation.seed,
        "device": ablation.device,
    }
    return experiment_from_document(document, f"ablation {ablation.name} ({ablation.size})")


def _series_points(series: AblationSeries, baseline: str) -> Iterator[AblationPoint]:
    if series.along is None:
        point_count = max(
            map(len, (v for v in _axis_values(series) if isinstance(v, tuple))), default=0
        )
        for index in range(point_count or 1):
            nominal = Multipliers(
                *(v[index] if isinstance(v, tuple) else v for v in _axis_values(series))
            )
            name = f"{series.name} {_label(series, nominal)}" if point_count else series.name
            yield AblationPoint(name, series.name, baseline, nominal, nominal.factor)
        return
    shares = read_family_source(series.along).coefficients.shares
    for factor in series.factors:
        nominal = shares.coefficients(factor).at(1.0)
        matched_shares = (
            shares if series.matched and abs(factor - 1) > SAME_COST_TOLERANCE else None
        )
        yield AblationPoint(
            f"{series.name} {factor:g}x", series.name, baseline, nominal, factor, matched_shares
        )


def _axis_values(series: AblationSeries) -> tuple[float | tuple[float, ...], ...]:
    return series.depth, series.width, series.resolution


def _label(series: AblationSeries, multipliers: Multipliers) -> str:
    """Label a point by the axes that differ in its series: ``1.4``, or ``1.4, 1.2, 1.3``."""
    varying_axes = [axis for axis in AXES if isinstance(getattr(series, axis), tuple)]
    return ", ".join(f"{getattr(multipliers, axis):g}" for axis in varying_axes)
