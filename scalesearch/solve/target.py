"""What a person asks of ``solve``: a cost, and a direction to look for it in."""

import math
import re
from dataclasses import dataclass

from scalesearch.architectures.measures import MEASURES, Measure
from scalesearch.errors import ArchitectureError
from scalesearch.published import SCHEMES
from scalesearch.scaling import Coefficients

COUNT_UNITS = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9, "t": 12, "p": 15}
TIME_UNITS = {"s": 0, "ms": -3, "us": -6}
"""Powers of ten."""

NUMBER_PATTERN = r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"


@dataclass(frozen=True, slots=True)
class Target:
    """What a network is to cost: MACs and activations of one image, parameters, or the
    predicted seconds of one forward pass."""

    measure: Measure
    value: float

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"need a measure of {', '.join(MEASURES)}, got {self.measure!r}")
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"need a finite {self.measure} > 0, got {self.value!r}")

    def __str__(self) -> str:
        return f"{format_amount(self.value, self.measure)} {self.measure}"


def parse_target(text: str) -> Target:
    """``macs=1.0G``, ``params=10M``, ``activations=6.7e6`` or ``latency=5ms``.

    K, M, G (or B), T and P multiply by a thousand, a million, and so on, in either case; a time
    is in s, ms or us. Raises ArchitectureError with the rule that the text breaks.
    """
    option = f"--target {text}"
    measure, separator, amount_text = (part.strip() for part in text.partition("="))
    if not separator:
        raise ArchitectureError(f"{option}: need MEASURE=AMOUNT, such as macs=1.0G or params=10M")
    if measure not in MEASURES:
        hint = "; FLOPs are counted as macs (multiply-adds)" if "flop" in measure.lower() else ""
        raise ArchitectureError(
            f"{option}: need a measure of {', '.join(MEASURES)}, got {measure!r}{hint}"
        )
    if measure == "latency":
        example, units = "a time such as 5ms, 800us or 1.2s", TIME_UNITS
    else:
        example, units = "an amount such as 1.0G, 10M or 5300000", COUNT_UNITS
    match = re.fullmatch(rf"{NUMBER_PATTERN}\s*([a-zA-Z]*)", amount_text)
    if not match or match[2].lower() not in units:
        raise ArchitectureError(f"{option}: need {example}, got {amount_text!r}")
    number, power = float(match[1]), units[match[2].lower()]
    try:  # a quotient is the nearest float to 0.8 thousandths, a product is not
        return Target(measure, number * 10**power if power >= 0 else number / 10**-power)
    except ValueError as error:
        raise ArchitectureError(f"{option}: {error}") from error


def parse_coefficients(text: str, factor: float = 2.0) -> Coefficients:
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


def format_amount(value: float, measure: Measure) -> str:
    """What is measured as people write it: 385.8M, and 5ms of latency."""
    if measure != "latency":
        return format_count(value)
    unit = next((unit for unit, power in TIME_UNITS.items() if value >= 0.99995 * 10**power), "us")
    return f"{value * 10 ** -TIME_UNITS[unit]:.4g}{unit}"


def format_count(value: float) -> str:
    """A count as people write it, to four digits: 385.8M."""
    for suffix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= scale * 0.99995:
            return f"{value / scale:.4g}{suffix}"
    return f"{value:.4g}"
