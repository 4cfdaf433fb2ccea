"""Rounding rules from real multipliers to whole blocks, channels and pixels.

Implementations of one published network differ most often in rounding, and a rounding rule changes
the cost of a network more than a searched coefficient does: see ``ROUNDINGS``.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scalesearch.errors import closest_choice

FLOAT_NOISE = 1e-9  # (2 ** 0.5) ** 2 is 2.0000000000000004; its ceiling must be 2


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rule that turns real-valued multipliers into whole blocks, channels and pixels.

    ``depth``: ``ceil`` and ``round`` act on each stage by itself; ``even`` rounds the total number
    of blocks and assigns them by Webster's divisor method, so one more block in total never takes
    a block from a stage. ``divisor``, ``minimum``: channels are multiples of the divisor, and at
    least the minimum. ``floor``: channels never fall below this fraction of the exact value (0
    turns the rule off). ``resolution_multiple``, ``resolution_cap``: pixels per side are
    multiples, and at most the cap. ``fixed_stem``, ``fixed_head``: channels that do not scale.
    ``fixed_stages``: indices of stages whose depth does not scale (negative ones count from the
    end). ``head_per_last``: the head has this many times the last stage's rounded channels; 0
    rounds the head like any other width.
    """

    depth: Literal["ceil", "round", "even"] = "ceil"
    divisor: int = 8
    minimum: int = 8
    floor: float = 0.9
    resolution_multiple: int = 1
    resolution_cap: int | None = None
    fixed_stem: bool = False
    fixed_head: bool = False
    fixed_stages: tuple[int, ...] = ()
    head_per_last: int = 0

    def __post_init__(self) -> None:
        if self.depth not in ("ceil", "round", "even"):
            raise ValueError(f"need depth ceil, round or even, got depth={self.depth!r}")
        for name in ("divisor", "minimum", "resolution_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"need 0 <= floor <= 1, got floor={self.floor}")
        if self.resolution_cap is not None and self.resolution_cap < 1:
            raise ValueError(f"need resolution_cap >= 1, got resolution_cap={self.resolution_cap}")
        if self.head_per_last < 0:
            raise ValueError(f"need head_per_last >= 0, got head_per_last={self.head_per_last}")
        if self.fixed_head and self.head_per_last:
            raise ValueError("need one rule for the head, got fixed_head and head_per_last")

    @property
    def min_channels(self) -> int:
        """Smallest multiple of the divisor that is at least the minimum."""
        return -(-self.minimum // self.divisor) * self.divisor

    def channels(self, exact: float) -> int:
        """Whole channels for an exact number of them (TensorFlow's ``round_filters``)."""
        exact = _without_float_noise(exact)
        rounded = int(exact + self.divisor / 2) // self.divisor * self.divisor
        rounded = max(self.min_channels, rounded)
        return rounded + self.divisor if rounded < self.floor * exact else rounded

    def head(self, exact: float, last: int) -> int:
        """Channels of the head, for its exact number and the last stage's whole number."""
        return self.head_per_last * last if self.head_per_last else self.channels(exact)

    def repeats(self, counts: Sequence[int], depth: float) -> tuple[int, ...]:
        """Whole blocks per stage for a depth multiplier; no stage loses its last block."""
        fixed = {index % len(counts) for index in self.fixed_stages}
        free = [count for index, count in enumerate(counts) if index not in fixed]
        scaled_counts = iter(self._scaled_repeats(free, depth))
        return tuple(
            count if index in fixed else next(scaled_counts) for index, count in enumerate(counts)
        )

    def pixels(self, exact: float) -> int:
        """Whole pixels per side, a multiple of ``resolution_multiple``, at most the cap.

        A cap below one multiple is respected too.
        """
        step = self.resolution_multiple
        rounded = max(step, math.floor(_without_float_noise(exact) / step + 0.5) * step)
        if self.resolution_cap is None:
            return rounded
        return min(rounded, self.resolution_cap // step * step or self.resolution_cap)

    def depth_edges(self, counts: Sequence[int], high: float) -> set[float]:
        """Depth multipliers up to ``high`` at which ``repeats`` may change."""
        fixed = {index % len(counts) for index in self.fixed_stages}
        free = [count for index, count in enumerate(counts) if index not in fixed]
        parts = {sum(free) or 1} if self.depth == "even" else set(free)
        offset = 0.0 if self.depth == "ceil" else 0.5
        return {
            (blocks + offset) / count
            for count in parts
            for blocks in range(int(count * high) + 2)
            if blocks + offset > 0
        }

    def width_edges(self, widths: Sequence[float], high: float) -> set[float]:
        """Width multipliers up to ``high`` at which ``channels`` may change."""
        jumps = {
            (channels, multiple * self.divisor)
            for channels in set(widths) - {0}  # a network without a head has 0 there
            for multiple in range(1, int(channels * high / self.divisor) + 3)
        }
        halves = {(rounded - self.divisor / 2) / channels for channels, rounded in jumps}
        floors = {rounded / (self.floor * channels) for channels, rounded in jumps if self.floor}
        return halves | floors

    def _scaled_repeats(self, counts: Sequence[int], depth: float) -> tuple[int, ...]:
        if self.depth == "even":
            return apportioned_blocks(counts, round(_without_float_noise(sum(counts) * depth)))
        if self.depth == "ceil":
            return tuple(math.ceil(count * depth - FLOAT_NOISE) for count in counts)
        return tuple(max(1, round(_without_float_noise(count * depth))) for count in counts)


ROUNDINGS: dict[str, Rounding] = {
    "official": Rounding(),
    "nearest": Rounding(depth="round", floor=0.0),
    "even": Rounding(depth="even"),
    "torchvision": Rounding(head_per_last=4),
    "timm": Rounding(),
    "efficientnetv2": Rounding(floor=0.0, resolution_cap=480),
    "lite": Rounding(fixed_stem=True, fixed_head=True, fixed_stages=(0, -1)),
}
"""Rounding profiles by name, each after an implementation and one of ours for search:

``official``: TensorFlow's EfficientNet. ``nearest``: pycls's (arXiv:2103.06877). ``even``: all
stages deepen alike, one block at a time, so that neighbouring multipliers are different networks.
``torchvision``: as official, but for the head. ``timm``: as official where stages repeat by
``ceil``, its default; ``{profile: timm, depth: round}`` is its ``depth_trunc="round"``, which its
TinyNets use. ``efficientnetv2``: arXiv:2104.00298 drops the 0.9 rule and trains at 480 pixels at
most. ``lite``: EfficientNet-Lite keeps stem, head, and the depth of the first and the last stage.

How a squeeze is rounded needs no rule here: a quarter of a multiple of 8 channels is whole, and
there the implementations agree.
"""


def rounding_from(spec: str | Mapping[str, Any] | Rounding) -> Rounding:
    """Profile by its name, or a changed one: ``{profile: even, divisor: 4}``.

    Without ``profile`` the parts change ``official``. Raises ValueError with every problem, one a
    line.
    """
    if isinstance(spec, Rounding):
        return spec
    if isinstance(spec, str):
        if spec not in ROUNDINGS:
            raise ValueError(f"need one of {', '.join(ROUNDINGS)}, got {spec!r}")
        return ROUNDINGS[spec]
    if not isinstance(spec, Mapping):
        raise ValueError(f"need a profile's name or a mapping of fields, got {spec!r}")
    parts = dict(spec)
    profile = parts.pop("profile", "official")
    problems = [] if profile in ROUNDINGS else [f"profile: {_unknown_message(profile, ROUNDINGS)}"]
    problems += [
        f"{name}: {_unknown_message(name, _FIELD_KINDS)}"
        for name in parts
        if name not in _FIELD_KINDS
    ]
    problems += [
        f"{name}: need {kind}, got {parts[name]!r}"
        for name, kind in _FIELD_KINDS.items()
        if name in parts and not _has_kind(kind, parts[name])
    ]
    if problems:
        raise ValueError("\n".join(problems))
    if "fixed_stages" in parts:
        parts["fixed_stages"] = tuple(parts["fixed_stages"])
    return dataclasses.replace(ROUNDINGS[profile], **parts)


def rounding_spec(rounding: str | Rounding) -> str | dict[str, Any]:
    """Shortest spec that ``rounding_from`` reads as this rounding; plain JSON values."""
    rounding = rounding_from(rounding)
    changes = {name: _changed_fields(profile, rounding) for name, profile in ROUNDINGS.items()}
    nearest = min(changes, key=lambda name: len(changes[name]))
    return {"profile": nearest, **changes[nearest]} if changes[nearest] else nearest


def rounding_name(rounding: str | Rounding) -> str:
    """Short name of the rounding: ``even``, or ``even with divisor 4``."""
    spec = rounding if isinstance(rounding, str) else rounding_spec(rounding)
    if isinstance(spec, str):
        return spec
    parts = ", ".join(f"{key} {value}" for key, value in spec.items() if key != "profile")
    return f"{spec['profile']} with {parts}"


def apportioned_blocks(weights: Sequence[int], total: int) -> tuple[int, ...]:
    """Assign ``total`` blocks in proportion to ``weights`` (Webster's method).

    Every stage gets at least one block, even if the total is smaller than that. House-monotone: a
    larger total never takes a block away. Ties go to the earlier stage.
    """
    # Whole multiples of the weights are assigned at once; only the remainder is left.
    full_rounds = total // sum(weights) if weights else 0
    blocks = [full_rounds * weight for weight in weights] if full_rounds else [1] * len(weights)
    for _ in range(total - sum(blocks)):
        index = max(range(len(weights)), key=lambda i: weights[i] / (2 * blocks[i] + 1))
        blocks[index] += 1
    return tuple(blocks)


_FIELD_KINDS = {
    "depth": "ceil, round or even",
    "divisor": "a whole number",
    "minimum": "a whole number",
    "floor": "a number",
    "resolution_multiple": "a whole number",
    "resolution_cap": "a whole number or null",
    "fixed_stem": "true or false",
    "fixed_head": "true or false",
    "fixed_stages": "a list of whole numbers",
    "head_per_last": "a whole number",
}
"""Allowed values of each field of a spec, for error messages."""


def _has_kind(kind: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "true or false":
        return isinstance(value, bool)
    if kind == "a list of whole numbers":
        return isinstance(value, list | tuple) and all(
            _has_kind("a whole number", v) for v in value
        )
    if kind == "a number":
        return whole or isinstance(value, float)
    if kind == "ceil, round or even":
        return value in ("ceil", "round", "even")
    return whole or (kind.endswith("null") and value is None)


def _changed_fields(profile: Rounding, rounding: Rounding) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(rounding).items()
        if getattr(profile, key) != value
    }


def _unknown_message(name: object, choices: Iterable[str]) -> str:
    close = closest_choice(name, choices)
    hint = f"did you mean {close!r}?" if close else f"known are {', '.join(choices)}"
    return f"unknown {name!r}, {hint}"


def _without_float_noise(value: float) -> float:
    """Nearest integer if a float product missed it by noise, else the value itself."""
    nearest = round(value)
    return float(nearest) if abs(value - nearest) < FLOAT_NOISE * max(1.0, abs(value)) else value
