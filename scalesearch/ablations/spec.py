"""What an ablation is: series of networks of some baselines, and how they are trained and drawn."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

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
        problems = [*self._name_problems(), *(self._direction_problems() if self.along else self._multiplier_problems())]
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
            f"{name}: need {rule}, got {got!r}" for name, is_valid, rule, got in checks if not is_valid
        ]
        if problems:
            raise ValueError("\n".join(problems))


def _positive_problems(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not 0 < number < 1000:
                yield f"{name}: need numbers above 0, got {number!r}"
