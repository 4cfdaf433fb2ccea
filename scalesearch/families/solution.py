"""Phi for a target cost: the nearest network along given coefficients."""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.architectures.latency_model import MEASURES, LatencyModel, Measure
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.families.staircase import PathStep, ScalingPath, first_true
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.published import SCHEMES
from scalesearch.scaling.rounding import Rounding, rounding_from, rounding_spec

COUNT_UNITS = {"": 0, "k": 3, "m": 6, "g": 9, "b": 9, "t": 12, "p": 15}
TIME_UNITS = {"s": 0, "ms": -3, "us": -6}
"""Powers of ten of a second."""

NUMBER_PATTERN = r"(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"


@dataclass(frozen=True, slots=True)
class Target:
    """Target cost of a network.

    MACs and activations of one image, parameters, or the predicted seconds of one forward pass.
    """

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
    """Read ``macs=1.0G``, ``params=10M``, ``activations=6.7e6`` or ``latency=5ms``.

    K, M, G (or B), T and P multiply by a thousand, a million, and so on, in either case; a time is
    in s, ms or us. Raises ArchitectureError with the rule that the text breaks.
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
    try:  # a quotient is the float nearest to 0.8 thousandths, a product is not
        return Target(measure, number * 10**power if power >= 0 else number / 10**-power)
    except ValueError as error:
        raise ArchitectureError(f"{option}: {error}") from error


def parse_coefficients(text: str, factor: float = 2.0) -> Coefficients:
    """Read a scheme's name (``published.SCHEMES``) or ``ALPHA,BETA,GAMMA``.

    ``factor``: cost of one step of phi, for a scheme that publishes no coefficients.
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
    """Amount as people write it: 385.8M, and 5ms of latency."""
    if measure != "latency":
        return format_count(value)
    unit = next((unit for unit, power in TIME_UNITS.items() if value >= 0.99995 * 10**power), "us")
    return f"{value * 10 ** -TIME_UNITS[unit]:.4g}{unit}"


def format_count(value: float) -> str:
    """Count as people write it, to four digits: 385.8M."""
    for suffix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= scale * 0.99995:
            return f"{value / scale:.4g}{suffix}"
    return f"{value:.4g}"


SCHEMA = "scalesearch/solution"
VERSION = 1

TARGET_TOLERANCE = 0.02
"""Relative tolerance within which a network meets its target."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The network nearest to the target in ratio, with its neighbours.

    ``deviation``: relative and signed distance of ``nearest`` from the target.
    """

    target: Target
    coefficients: Coefficients
    rounding: Rounding
    nearest: PathStep
    smaller: PathStep | None
    larger: PathStep | None
    deviation: float

    @property
    def is_within_tolerance(self) -> bool:
        """Whether the nearest network is within ``TARGET_TOLERANCE`` of the target."""
        return abs(self.deviation) <= TARGET_TOLERANCE


def solve(
    baseline: Architecture,
    coefficients: Coefficients,
    target: Target,
    rounding: str | Rounding = "official",
    latency: LatencyModel | None = None,
) -> Solution:
    """Find the network along the coefficients nearest to the target cost.

    phi may be a fraction, and negative for a network smaller than the baseline. ``latency``: model
    that predicts it, if it is the target. Raises ArchitectureError if that is missing, if the
    direction does not grow, or if the target lies beyond its largest or smallest network, which is
    named.
    """
    if target.measure == "latency" and latency is None:
        raise ArchitectureError(
            f"--target {target}: need a latency model to predict it, got none; `scalesearch "
            "fit-latency NAME --out FILE.json` measures one, and --latency-model FILE.json names it"
        )
    profile = rounding_from(rounding)
    path = ScalingPath(baseline, _validate_growth(coefficients), target.measure, profile, latency)
    min_phi, max_phi = path.phi_bounds
    for bound, is_beyond, word in (
        (min_phi, path.measured_cost(min_phi) > target.value, "smallest"),
        (max_phi, path.measured_cost(max_phi) < target.value, "largest"),
    ):
        if is_beyond:
            raise ArchitectureError(_unreachable_message(path, target, bound, word, coefficients))
    lowest_phi = first_true(lambda phi: path.measured_cost(phi) >= target.value, min_phi, max_phi)
    upper = path.step_at(lowest_phi)
    lower = path.step_below(upper)
    nearest = upper
    if lower and _log_ratio(lower.measured_cost, target) <= _log_ratio(upper.measured_cost, target):
        nearest = lower
    return Solution(
        target=target,
        coefficients=coefficients,
        rounding=profile,
        nearest=nearest,
        smaller=path.step_below(nearest),
        larger=path.step_above(nearest),
        deviation=nearest.measured_cost / target.value - 1,
    )


def solve_document(
    baseline: Architecture,
    coefficients: Coefficients,
    target: Target | str,
    rounding: str | Rounding = "official",
    latency: LatencyModel | None = None,
) -> dict[str, Any]:
    """Solution of ``solve`` as JSON values.

    Keys: ``phi``, ``network``, ``smaller``, ``larger``, and ``message``, a sentence. With a
    latency model every network has its predicted ``seconds``, for any target.
    """
    target = parse_target(target) if isinstance(target, str) else target
    solution = solve(baseline, coefficients, target, rounding, latency)

    def document_of(step: PathStep | None) -> dict[str, Any] | None:
        return None if step is None else _step_document(step, latency)

    return {
        "schema": SCHEMA,
        "version": VERSION,
        "target": asdict(target),
        "coefficients": asdict(coefficients),
        "rounding": rounding_spec(solution.rounding),
        "baseline": to_json(baseline),
        "latency": latency and asdict(latency),
        "phi": solution.nearest.phi,
        "deviation": solution.deviation,
        "meets": solution.is_within_tolerance,
        "message": solution_sentence(solution),
        "network": document_of(solution.nearest),
        "smaller": document_of(solution.smaller),
        "larger": document_of(solution.larger),
    }


def solution_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a document's networks, the smallest first; ``network`` is the answer."""
    columns = ["phi", "depth", "width", "resolution", "macs", "params", "activations"]
    columns += ["seconds", "factor"] if document["latency"] else ["factor"]
    return [
        {"": name, **{column: document[name][column] for column in columns}}
        for name in ("smaller", "network", "larger")
        if document[name]
    ]


def solution_sentence(solution: Solution) -> str:
    """Return the solution in a sentence; without a near network, the nearest one."""
    measure = solution.target.measure
    cost_text = format_amount(solution.nearest.measured_cost, measure)
    nearest_text = f"phi {solution.nearest.phi:.4g}: {cost_text} {measure}"
    target_text = format_amount(solution.target.value, measure)
    if solution.is_within_tolerance:
        return f"{nearest_text}, {solution.deviation:+.1%} from {target_text}"
    neighbours = [
        f"{format_amount(step.measured_cost, measure)} at phi {step.phi:.4g}"
        for step in (solution.smaller, solution.larger)
        if step
    ]
    neighbours_text = f"; beside it {' and '.join(neighbours)}" if neighbours else ""
    return (
        f"no network along these coefficients has {solution.target} within "
        f"{TARGET_TOLERANCE:.0%}; the "
        f"nearest is {nearest_text} ({solution.deviation:+.1%}){neighbours_text}"
    )


def _validate_growth(coefficients: Coefficients) -> Coefficients:
    values = asdict(coefficients).values()
    if min(values) < 1 or max(values) == 1:
        raise ArchitectureError(
            "coefficients: need alpha, beta and gamma of at least 1, and not all of them 1, so "
            f"that cost rises with phi; got {coefficients}"
        )
    return coefficients


def _log_ratio(measured_cost: float, target: Target) -> float:
    return abs(math.log(measured_cost / target.value))


def _unreachable_message(
    path: ScalingPath, target: Target, phi: float, size_word: str, coefficients: Coefficients
) -> str:
    step = path.step_at(phi)
    edge = step.phi_low if size_word == "largest" else step.phi_high
    nearest = step.phi if step.phi == 0 else edge
    return (
        f"--target {target}: beyond what {coefficients} reach from this baseline; the {size_word} "
        f"network looked at has {format_amount(step.measured_cost, target.measure)} "
        f"{target.measure}, at phi "
        f"{nearest:.4g}; take other coefficients, another "
        "rounding or another baseline"
    )


def _step_document(step: PathStep, latency: LatencyModel | None) -> dict[str, Any]:
    return {
        "phi": step.phi,
        "phi_interval": [step.phi_low, step.phi_high],
        "depth": step.multipliers.depth,
        "width": step.multipliers.width,
        "resolution": step.architecture.resolution,
        **asdict(step.cost),
        **({"seconds": latency.predicted_seconds(step.architecture)} if latency else {}),
        "factor": step.factor,
        "fingerprint": fingerprint(step.architecture),
        "architecture": to_json(step.architecture),
    }
