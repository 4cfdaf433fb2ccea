"""What a person asks of ``solve``: a cost, and a direction to look for it in."""

import math
import re
from dataclasses import dataclass
from typing import get_args

from scalesearch.architectures.budget import MEASURES, Measure
from scalesearch.errors import ArchitectureError
from scalesearch.published import SCHEMES
from scalesearch.scaling import Coefficients

SUFFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15}


@dataclass(frozen=True, slots=True)
class Target:
    """What a network is to cost: MACs and activations of one image, or parameters."""

    measure: Measure
    value: float

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"need a measure of {', '.join(MEASURES)}, got {self.measure!r}")
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"need a finite {self.measure} > 0, got {self.value!r}")

    def __str__(self) -> str:
        return f"{quantity(self.value)} {self.measure}"


def parse_target(text: str) -> Target:
    """``macs=1.0G``, ``params=10M`` or ``activations=6.7e6``.

    K, M, G (or B), T and P multiply by a thousand, a million, and so on, in either case. Raises
    ArchitectureError with the rule that the text breaks.
    """
    where = f"--target {text}"
    measure, equals, amount = (part.strip() for part in text.partition("="))
    if not equals:
        raise ArchitectureError(f"{where}: need MEASURE=AMOUNT, such as macs=1.0G or params=10M")
    if measure not in get_args(Measure):
        hint = "; FLOPs are counted as macs (multiply-adds)" if "flop" in measure.lower() else ""
        raise ArchitectureError(
            f"{where}: need a measure of {', '.join(MEASURES)}, got {measure!r}{hint}"
        )
    found = re.fullmatch(r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*([kKmMgGbBtTpP]?)", amount)
    if not found:
        raise ArchitectureError(
            f"{where}: need an amount such as 1.0G, 10M or 5300000, got {amount!r}"
        )
    try:
        return Target(measure, float(found[1]) * SUFFIXES[found[2].upper()])  # type: ignore[arg-type]
    except ValueError as error:
        raise ArchitectureError(f"{where}: {error}") from error


def direction(text: str, factor: float = 2.0) -> Coefficients:
    """Coefficients by a scheme's name (``published.SCHEMES``), or as ``ALPHA,BETA,GAMMA``.

    ``factor``: what one step of phi costs, for a scheme that publishes no coefficients.
    """
    if text in SCHEMES:
        return SCHEMES[text].coefficients(factor)
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
        return Coefficients(alpha, beta, gamma)
    except ValueError as error:
        raise ArchitectureError(
            f"--coefficients: need ALPHA,BETA,GAMMA above 0, or one of {', '.join(SCHEMES)}; got "
            f"{text!r}"
        ) from error


def quantity(value: float) -> str:
    """A count as people write it, to four digits: 385.8M."""
    for suffix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= scale * 0.99995:
            return f"{value / scale:.4g}{suffix}"
    return f"{value:.4g}"
