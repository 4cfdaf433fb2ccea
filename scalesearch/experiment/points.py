"""Networks that are asked for one by one, where no sampler chooses: ablations, confirmations."""

import math
from dataclasses import dataclass

from scalesearch.experiment.refusals import raise_problems

AxisTriple = tuple[float, float, float]
SEARCHED = "searched"
SEPARATOR = "; "
"""Between names in the column ``cell`` of the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """A network by its multipliers, by its cost and direction, or by its fingerprint.

    ``depth``, ``width``, ``resolution``: multipliers of the baseline, made whole by the budget's
    rounding, whatever they then cost; all of one are the baseline itself. ``factor`` and
    ``shares`` (depth, width, resolution) instead: the network that really costs ``factor`` times
    the baseline, within the budget's tolerance, nearest to these shares. ``candidate`` instead:
    one of the budget's own iso-cost set by its fingerprint, or how that begins. ``role``: its name
    in the records, as those of references.
    """

    name: str
    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0
    factor: float | None = None
    shares: AxisTriple | None = None
    candidate: str | None = None
    role: str = SEARCHED

    def __post_init__(self) -> None:
        multipliers = self.multipliers
        is_matched = self.factor is not None or self.shares is not None
        kinds_given = [multipliers != (1.0, 1.0, 1.0), is_matched, self.candidate is not None]
        checks = [
            ("name", bool(self.name) and SEPARATOR not in self.name, "a name without '; '"),
            ("role", bool(self.role) and "+" not in self.role, "a name without '+'"),
            ("multipliers", all(0 < multiplier < math.inf for multiplier in multipliers), "numbers above 0"),
            (
                "multipliers",
                all(one >= 1 for one in multipliers) or all(one <= 1 for one in multipliers),
                "all at least 1 or all at most 1, or they have no shares",
            ),
            ("factor", self.factor is None or 0 < self.factor != 1, "a factor above 0, and not 1"),
            ("shares", not is_matched or None not in (self.factor, self.shares), "factor and shares"),
            ("shares", _is_shares(self.shares), "three shares from 0 to 1 that sum to 1"),
            ("candidate", self.candidate != "", "how a fingerprint begins"),
            ("name", sum(kinds_given) <= 1, "multipliers, factor with shares, or candidate: one of them"),
        ]
        raise_problems(
            f"{field}: need {rule}, got {getattr(self, field)!r}"
            for field, holds, rule in checks
            if not holds
        )

    @property
    def multipliers(self) -> AxisTriple:
        """Of depth, width and resolution, as asked for."""
        return self.depth, self.width, self.resolution


def _is_shares(shares: AxisTriple | None) -> bool:
    return shares is None or (
        all(0 <= share <= 1 for share in shares) and math.isclose(sum(shares), 1, abs_tol=1e-6)
    )
