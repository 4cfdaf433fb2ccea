"""What an ablation is: series of networks of some baselines, and how they are trained and drawn.

An ablation's file, at one of its sizes -> an Ablation.

The networks stand in the file, so that they can be read, and changed for one's own question; what
the paper says of them is in ``published``. A test holds the files' full size to ``published``.

The networks that an ablation asks for, and the searches that train them.
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
"""One panel for each series; all curves in one; rows of a table; against parameters and FLOPs."""

AXES = ("depth", "width", "resolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSeries:
    """Networks that belong together: a curve of a figure, or (with a single one) a table's row.

    Either by multipliers of the baseline: ``depth``, ``width`` and ``resolution`` are each one
    number for all or a list with one for each. Or ``along`` a direction, at ``factors`` of the
    baseline's cost: a scheme (``published.SCHEMES``), ``ALPHA,BETA,GAMMA``, or the path of a
    ``coefficients.json``. Then ``matched`` takes the nearest network that *really* costs so much;
    else the multipliers ask for so much, as the paper's do, whatever the rounded network costs.
    """

    name: str
    depth: float | tuple[float, ...] = 1.0
    width: float | tuple[float, ...] = 1.0
    resolution: float | tuple[float, ...] = 1.0
    along: str | None = None
    factors: tuple[float, ...] = ()
    matched: bool = False

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
    """Where in the images the networks look: so many of them, the same for all networks.

    ``least_pixels``: the maps are taken behind the last block of the baseline whose maps are at
    least this wide, the same block's stage in all networks; at 224 pixels that is the head.
    """

    images: int = 4
    least_pixels: int = 7

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
    """A comparison of the paper, or one like it, at one size.

    ``source``: where it is printed. ``baselines``: by name, each with what differs from
    ``baseline``; every series is trained on each of them. ``baseline``, ``data``, ``budget``,
    ``recipe``, ``device``: as in an experiment. ``seed``, ``seeds``: the first, and how many.
    ``against``: the series that all others are compared with. ``limits``: what this size leaves
    out of the paper's, in words.
    """

    name: str
    title: str
    source: str
    figure: FigureKind
    size: str = "full"
    limits: str = ""
    baselines: dict[str, dict[str, Any]] = field(default_factory=lambda: {"efficientnet_b0": {}})
    baseline: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    series: tuple[AblationSeries, ...] = ()
    against: str | None = None
    maps: GradCamConfig | None = None
    seeds: int = 3
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        names = [series.name for series in self.series]
        checks = (
            ("series", bool(names), "at least one", names),
            ("baselines", bool(self.baselines), "at least one", self.baselines),
            ("against", self.against in (None, *names), f"one of {', '.join(names)}", self.against),
        )
        problems = [
            f"{name}: need {rule}, got {got!r}"
            for name, is_valid, rule, got in checks
            if not is_valid
        ]
        if problems:
            raise ValueError("\n".join(problems))


def _positive_problems(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not 0 < number < 1000:
                yield f"{name}: need numbers above 0, got {number!r}"


SIZES = ("smoke", "small", "full")
ABLATION_FOLDERS = (
    Path(__file__).parent / "files",  # as it is installed
    Path(__file__).parents[2] / "experiments" / "ablations",  # in a checkout
)
FULL_SIZE = "full"


def ablation_names() -> tuple[str, ...]:
    """Names of the ablations that come with scalesearch."""
    return tuple(
        sorted({path.stem for folder in ABLATION_FOLDERS for path in folder.glob("*.yaml")})
    )


def read_ablation(name: str, size: str = FULL_SIZE, overrides: Sequence[str] = ()) -> Ablation:
    """The ablation of that name, or in the YAML file of that path, at a size.

    ``overrides``: ``dotted.key=value``, the last word after the size's. Raises ExperimentError with
    every problem found.
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
    for setting in overrides:
        apply_override(document, setting)
    document["series"] = _series_list(document.get("series"), path)
    if isinstance(baselines := document.get("baselines"), Mapping):
        document["baselines"] = {k: v for k, v in baselines.items() if v is not None}
    return validate_document(Ablation, document, str(path), [])


def merge_mappings(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, ``over`` on top."""
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
    """A part of a file that may be left out."""
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
            f"ablation: unknown name {name!r}; {suggestion(name, ablation_names())}, or give the path of a "
            "YAML file"
        )
    return path


def _series_list(series: Any, path: Path) -> list[dict[str, Any]]:
    """The series with their names; a size leaves one out by setting it to null."""
    if not isinstance(series, Mapping):
        raise ExperimentError(
            f"{path}: series: need a mapping of names to networks, got {series!r}"
        )
    series = {name: value for name, value in series.items() if value is not None}
    invalid = [name for name, value in series.items() if not isinstance(value, Mapping)]
    if invalid:
        raise ExperimentError(f"{path}: series.{invalid[0]}: need a mapping such as {{width: 2}}")
    return [{"name": str(name), **value} for name, value in series.items()]


SAME_COST_TOLERANCE = 0.01
"""Relative difference of costs that count as the baseline's."""


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """One network of a series on a baseline.

    ``name``: of the search's cell. ``asked``: nominal multipliers; of a matched point, those that
    its shares ask for. ``factor``: of the baseline's cost, nominal or (``matched``) to be realised.
    """

    name: str
    series: str
    baseline: str
    nominal_multipliers: Multipliers
    factor: float
    shares: Shares | None = None

    @property
    def is_matched(self) -> bool:
        return self.shares is not None

    @property
    def document(self) -> dict[str, Any]:
        """As an experiment's ``search.points`` has it."""
        names = {"name": self.name, "role": self.series}
        if self.shares is not None:
            return {**names, "factor": self.factor, "shares": [*self.shares.as_tuple()]}
        return {**names, **dataclasses.asdict(self.nominal_multipliers)}


def ablation_points(ablation: Ablation, baseline: str) -> tuple[AblationPoint, ...]:
    """All networks of all series, on a baseline."""
    return tuple(point for series in ablation.series for point in _series_points(series, baseline))


def ablation_experiments(ablation: Ablation) -> dict[str, Experiment]:
    """For each baseline the search that trains its networks, all to the end, with all seeds.

    Raises ExperimentError for what an experiment does not allow.
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
    """What differs within the series: ``1.4``, or of several axes ``1.4, 1.2, 1.3``."""
    varying_axes = [axis for axis in AXES if isinstance(getattr(series, axis), tuple)]
    return ", ".join(f"{getattr(multipliers, axis):g}" for axis in varying_axes)
