"""From a cost to phi: which network along given coefficients costs what is asked for."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import ArchitectureError
from scalesearch.rounding import Rounding, rounding_from, rounding_spec
from scalesearch.scaling import Coefficients
from scalesearch.solve.staircase import Stair, Staircase, first
from scalesearch.solve.target import Target, amount, parse_target

SCHEMA = "scalesearch/solution"
VERSION = 1

TOLERANCE = 0.02
"""Within it, relatively, a network is said to meet its target."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The stair nearest to the target, in ratio, with its neighbours; None at either end.

    ``deviation``: how far, relatively and with its sign, ``nearest`` is from the target.
    """

    target: Target
    coefficients: Coefficients
    rounding: Rounding
    nearest: Stair
    smaller: Stair | None
    larger: Stair | None
    deviation: float

    @property
    def meets(self) -> bool:
        """Whether the nearest network is within ``TOLERANCE`` of the target."""
        return abs(self.deviation) <= TOLERANCE


def solve(
    baseline: Architecture,
    coefficients: Coefficients,
    target: Target,
    rounding: str | Rounding = "official",
    latency: LatencyModel | None = None,
) -> Solution:
    """The network along the coefficients whose realised cost is nearest to the target.

    phi may be a fraction, and negative for a network smaller than the baseline. ``latency``: what
    predicts it, where it is the target. Raises ArchitectureError where that is missing, where the
    direction is no direction of growth, or where the target lies beyond its largest or smallest
    network, naming that one.
    """
    if target.measure == "latency" and latency is None:
        raise ArchitectureError(
            f"--target {target}: need a latency model to predict it, got none; `scalesearch "
            "calibrate NAME --out FILE.json` measures one, and --latency-model FILE.json names it"
        )
    profile = rounding_from(rounding)
    path = Staircase(baseline, _growth(coefficients), target.measure, profile, latency)
    least, most = path.bounds
    for end, beyond, word in (
        (least, path.measured(least) > target.value, "smallest"),
        (most, path.measured(most) < target.value, "largest"),
    ):
        if beyond:
            raise ArchitectureError(_unreachable(path, target, end, word, coefficients))
    at_least = first(lambda phi: path.measured(phi) >= target.value, least, most)
    upper = path.stair(at_least)
    lower = path.below(upper)
    nearest = upper
    if lower and _ratio(lower.spent, target) <= _ratio(upper.spent, target):
        nearest = lower
    return Solution(
        target=target,
        coefficients=coefficients,
        rounding=profile,
        nearest=nearest,
        smaller=path.below(nearest),
        larger=path.above(nearest),
        deviation=nearest.spent / target.value - 1,
    )


def solve_document(
    baseline: Architecture,
    coefficients: Coefficients,
    target: Target | str,
    rounding: str | Rounding = "official",
    latency: LatencyModel | None = None,
) -> dict[str, Any]:
    """The answer of ``solve`` as JSON values: ``phi``, ``network``, ``smaller``, ``larger``, and
    ``message``, which says it in a sentence. With a latency model every network tells its predicted
    ``seconds``, whatever the target."""
    target = parse_target(target) if isinstance(target, str) else target
    found = solve(baseline, coefficients, target, rounding, latency)

    def told(stair: Stair | None) -> dict[str, Any] | None:
        return None if stair is None else _stair_document(stair, latency)

    return {
        "schema": SCHEMA,
        "version": VERSION,
        "target": asdict(target),
        "coefficients": asdict(coefficients),
        "rounding": rounding_spec(found.rounding),
        "baseline": to_json(baseline),
        "latency": latency and asdict(latency),
        "phi": found.nearest.phi,
        "deviation": found.deviation,
        "meets": found.meets,
        "message": message(found),
        "network": told(found.nearest),
        "smaller": told(found.smaller),
        "larger": told(found.larger),
    }


def rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A document's networks as rows of a table, the smallest first; ``network`` is the answer."""
    columns = ["phi", "depth", "width", "resolution", "macs", "params", "activations"]
    columns += ["seconds", "factor"] if document["latency"] else ["factor"]
    return [
        {"": name, **{column: document[name][column] for column in columns}}
        for name in ("smaller", "network", "larger")
        if document[name]
    ]


def message(found: Solution) -> str:
    """The solution in a sentence; where none is near, what is nearest."""
    measure = found.target.measure
    said = f"phi {found.nearest.phi:.4g}: {amount(found.nearest.spent, measure)} {measure}"
    if found.meets:
        return f"{said}, {found.deviation:+.1%} from {amount(found.target.value, measure)}"
    others = [
        f"{amount(stair.spent, measure)} at phi {stair.phi:.4g}"
        for stair in (found.smaller, found.larger)
        if stair
    ]
    beside = f"; beside it {' and '.join(others)}" if others else ""
    return (
        f"no network along these coefficients has {found.target} within {TOLERANCE:.0%}; the "
        f"nearest is {said} ({found.deviation:+.1%}){beside}"
    )


def _growth(coefficients: Coefficients) -> Coefficients:
    bases = asdict(coefficients).values()
    if min(bases) < 1 or max(bases) == 1:
        raise ArchitectureError(
            "coefficients: need alpha, beta and gamma of at least 1, and not all of them 1, so "
            f"that cost rises with phi; got {coefficients}"
        )
    return coefficients


def _ratio(spent: float, target: Target) -> float:
    return abs(math.log(spent / target.value))


def _unreachable(
    path: Staircase, target: Target, phi: float, word: str, coefficients: Coefficients
) -> str:
    end = path.stair(phi)
    edge = end.first if word == "largest" else end.last
    nearest = end.phi if end.phi == 0 else edge
    return (
        f"--target {target}: beyond what {coefficients} reach from this baseline; the {word} "
        f"network looked at has {amount(end.spent, target.measure)} {target.measure}, at phi "
        f"{nearest:.4g}; take other coefficients, another "
        "rounding or another baseline"
    )


def _stair_document(stair: Stair, latency: LatencyModel | None) -> dict[str, Any]:
    return {
        "phi": stair.phi,
        "phi_interval": [stair.first, stair.last],
        "depth": stair.multipliers.depth,
        "width": stair.multipliers.width,
        "resolution": stair.architecture.resolution,
        **asdict(stair.cost),
        **({"seconds": latency.predicted(stair.architecture)} if latency else {}),
        "factor": stair.factor,
        "fingerprint": fingerprint(stair.architecture),
        "architecture": to_json(stair.architecture),
    }
