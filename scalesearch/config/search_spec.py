"""Settings of a search: candidates, rungs, seeds, stopping criteria and failures."""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scalesearch.config.validation import Check, require_all

AxisTriple = tuple[float, float, float]
SEARCHED = "searched"
SEPARATOR = "; "
"""Separator of names in the column ``cell`` of the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """A network by its multipliers, by cost and direction, or by its fingerprint."""

    name: str
    """Name in the column ``cell`` of the records."""
    depth: float = 1.0
    """Depth multiplier of the baseline, rounded by the budget's rule, whatever it costs."""
    width: float = 1.0
    """Width multiplier, likewise; three multipliers of 1 are the baseline itself."""
    resolution: float = 1.0
    """Resolution multiplier, likewise."""
    factor: float | None = None
    """Alternative to multipliers: realised cost over the baseline's."""
    shares: AxisTriple | None = None
    """With ``factor``: direction (depth, width, resolution); the nearest network is taken."""
    candidate: str | None = None
    """Instead: fingerprint, or its beginning, of a network of the budget's iso-cost set."""
    role: str = SEARCHED
    """Role in the records, as of references."""

    def __post_init__(self) -> None:
        multipliers = self.multipliers
        is_matched = self.factor is not None or self.shares is not None
        kinds_given = [multipliers != (1.0, 1.0, 1.0), is_matched, self.candidate is not None]
        checks = [
            ("name", bool(self.name) and SEPARATOR not in self.name, "a name without '; '"),
            ("role", bool(self.role) and "+" not in self.role, "a name without '+'"),
            (
                "multipliers",
                all(0 < multiplier < math.inf for multiplier in multipliers),
                "numbers above 0",
            ),
            (
                "multipliers",
                all(value >= 1 for value in multipliers)
                or all(value <= 1 for value in multipliers),
                "all at least 1 or all at most 1, or they have no shares",
            ),
            ("factor", self.factor is None or 0 < self.factor != 1, "a factor above 0, and not 1"),
            (
                "shares",
                not is_matched or None not in (self.factor, self.shares),
                "factor and shares",
            ),
            ("shares", _is_shares(self.shares), "three shares from 0 to 1 that sum to 1"),
            ("candidate", self.candidate != "", "how a fingerprint begins"),
            (
                "name",
                sum(kinds_given) <= 1,
                "multipliers, factor with shares, or candidate: one of them",
            ),
        ]
        require_all(self, *(Check(*check) for check in checks))

    @property
    def multipliers(self) -> AxisTriple:
        """Multipliers of depth, width and resolution, as given."""
        return self.depth, self.width, self.resolution


def _is_shares(shares: AxisTriple | None) -> bool:
    return shares is None or (
        all(0 <= share <= 1 for share in shares) and math.isclose(sum(shares), 1, abs_tol=1e-6)
    )


Reference: TypeAlias = Literal["depth", "width", "resolution", "uniform", "paper", "fast"]
REFERENCES: tuple[Reference, ...] = ("depth", "width", "resolution", "uniform", "paper")
PLANNED_SAMPLERS = ("lattice", "cartesian", "optimal", "points")
LATTICE_STEP = 6
"""Default step: 28 candidates.

Step 4 (15 candidates) misses the best by more than 0.3 points on half of the simulated surfaces
(results/benchmarks). Step 6 does so on none, for 4% of an exhaustive grid's epochs.
"""
OPTIMAL_TRIALS = 12
"""Ten networks determine a surface of six terms, two are check points.

With the references there are as many as in a lattice of step 4 with its references, and the mean
variance of the surface is lower.
"""
DEFAULT_ROUND_SIZE = 5
"""Proposals of a round, unless the experiment says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """Stopping criteria besides the end of all candidates; None is no criterion."""

    epochs: int | None = None
    """Epochs trained in all."""
    device_hours: float | None = None
    """Hours of training, summed over all workers."""
    hours: float | None = None
    """Hours since this driver began."""
    accuracy: float | None = None
    """Accuracy (fraction) of any candidate: mean over seeds at the last epoch."""
    interval: float | None = None
    """Width below which the widest 90% interval of the optimum's shares stops the search."""
    noise: bool = False
    """Stop when the gain still to be expected is less than the noise."""

    def __post_init__(self) -> None:
        require_all(
            self,
            *(
                Check(
                    name,
                    (value := getattr(self, name)) is None or 0 < value < math.inf,
                    "a number above 0",
                )
                for name in ("epochs", "device_hours", "hours", "accuracy", "interval")
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """Failures of one class that a search accepts."""

    retries: int = 0
    """Retries of a job before its trial fails."""
    candidates: int | None = None
    """Trials that may fail before the search stops; None is any number."""

    def __post_init__(self) -> None:
        require_all(
            self,
            Check("retries", self.retries >= 0, "at least 0"),
            Check("candidates", self.candidates is None or not self.candidates < 0, "at least 0"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSpec:
    """Limits by class of failure; bad data and bugs stop a search at once."""

    out_of_memory: FailureLimit = field(default_factory=FailureLimit)
    """Trials that need more memory than there is."""
    diverged: FailureLimit = field(default_factory=FailureLimit)
    """Trials whose loss is not finite."""
    worker_lost: FailureLimit = field(default_factory=lambda: FailureLimit(retries=3, candidates=3))
    """Jobs whose worker died."""
    timeout: FailureLimit = field(default_factory=lambda: FailureLimit(retries=1, candidates=3))
    """Jobs that take longer than ``job_seconds``."""
    job_seconds: float | None = None
    """Time limit of a job in seconds; None sets none."""

    def __post_init__(self) -> None:
        is_allowed = self.job_seconds is None or 0 < self.job_seconds < math.inf
        require_all(self, Check("job_seconds", is_allowed, "a number above 0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """Candidates of a search, and how far and how often each is trained.

    ``sampler``: ``lattice`` (all shares that are multiples of 1/``step``), ``cartesian`` (the
    classic grid: ``alpha``, ``beta``, ``gamma`` in their ranges, ``step`` apart, with |alpha *
    beta^2 * gamma^2 - F| <= ``product_tolerance``), ``optimal`` (the networks that, with the
    references, determine a quadratic surface best; a fifth of them are check points; pruner
    ``none`` and race null keep them all), Optuna's ``tpe``, ``gp``, ``sobol``, ``random``, or
    ``nsga2`` for accuracy ``against`` a cost, or ``points``, the networks listed, each trained to
    the end with all seeds.
    """

    sampler: Literal[
        "lattice", "cartesian", "optimal", "points", "tpe", "gp", "sobol", "random", "nsga2"
    ] = "lattice"
    """Method that proposes candidates; see above."""
    points: tuple[PointSpec, ...] = ()
    """Networks of the sampler ``points``."""
    step: float | None = None
    """Parts of the lattice (None: 6), or distance on the grid (None: 0.05)."""
    trials: int | None = None
    """Candidates that a sampler proposes (None: 15; 12 for ``optimal``); the limit of a grid."""
    cohort: int = DEFAULT_ROUND_SIZE
    """Proposals made together in a round; they know of all rounds before."""
    against: Literal["macs", "params", "activations"] | None = None
    """Cost that ``nsga2`` trades against accuracy."""
    seeds: int = 3
    """Runs of each candidate."""
    together: bool = False
    """Train a candidate's seeds at once, which is faster if one does not fill the device."""
    references: tuple[Reference, ...] = REFERENCES
    """Known directions trained beside the candidates, always with all seeds to the end."""
    rungs: tuple[int, ...] | None = None
    """Epochs at which trials are compared; None: a ninth, a third and all of the epochs."""
    eta: int = 3
    """At each rung the best 1/eta of a round continue."""
    pruner: Literal["halving", "median", "hyperband", "none"] = "halving"
    """Decision at the rungs: successive halving, one of Optuna's pruners, or none."""
    asynchronous: bool = False
    """Decide on each trial at once; the records then depend on who finished first."""
    race: int | None = 2
    """Seeds before further ones go only to trials that may still win; None: all seeds."""
    stop: StopSpec = field(default_factory=StopSpec)
    """Stopping criteria."""
    failures: FailureSpec = field(default_factory=FailureSpec)
    """Failures that are accepted."""
    alpha: tuple[float, float] = (1.0, 2.0)
    """Range of alpha on the ``cartesian`` grid."""
    beta: tuple[float, float] = (1.0, 1.5)
    """Range of beta on the ``cartesian`` grid."""
    gamma: tuple[float, float] = (1.0, 1.5)
    """Range of gamma on the ``cartesian`` grid."""
    product_tolerance: float = 0.1
    """Tolerance of alpha * beta^2 * gamma^2 around F on the ``cartesian`` grid."""

    def __post_init__(self) -> None:
        is_whole_step = self.step is None or (self.step >= 1 and self.step % 1 == 0)
        rungs = self.rungs or ()
        is_multi_objective = self.sampler == "nsga2"
        checks = [
            ("step", self.step is None or 0 < self.step < math.inf, "a step above 0"),
            (
                "step",
                self.sampler != "lattice" or is_whole_step,
                "a whole number (of parts) for a lattice",
            ),
            ("trials", self.trials is None or self.trials >= 1, "at least 1"),
            ("cohort", self.cohort >= 1, "at least 1"),
            ("seeds", self.seeds >= 1, "at least 1"),
            (
                "rungs",
                all(a < b for a, b in zip((0, *rungs), rungs, strict=False)),
                "rising epochs",
            ),
            ("eta", self.eta >= 2, "at least 2"),
            ("race", self.race is None or self.race >= 2, "at least 2 seeds, or null"),
            ("product_tolerance", self.product_tolerance > 0, "a tolerance above 0"),
            (
                "against",
                (self.against is not None) == is_multi_objective,
                "a cost with sampler nsga2, and null with any other",
            ),
            (
                "pruner",
                not is_multi_objective or self.pruner == "none",
                "none for nsga2, as pruning knows one objective only",
            ),
            (
                "race",
                not is_multi_objective or self.race is None,
                "null for nsga2, which has no one winner",
            ),
            *self._point_checks(),
        ]
        checks += [
            (
                name,
                0 < getattr(self, name)[0] <= getattr(self, name)[1] < 100,
                "0 < low <= high < 100",
            )
            for name in ("alpha", "beta", "gamma")
        ]
        require_all(self, *(Check(*check) for check in checks))

    def _point_checks(self) -> list[tuple[str, bool, str]]:
        """Return checks for listed points: (field, whether it holds, rule)."""
        is_listed = self.sampler == "points"
        names = {point.name for point in self.points}
        return [
            (
                "points",
                bool(self.points) == is_listed,
                "some for the sampler points, and none else",
            ),
            ("points", len(names) == len(self.points), "names that differ"),
            ("references", not (is_listed and self.references), "[] for points, which list all"),
            ("pruner", not is_listed or self.pruner == "none", "none for points"),
            ("race", not is_listed or self.race is None, "null for points"),
        ]

    @property
    def proposal_count(self) -> int | None:
        """Proposals that a sampler makes; None for a grid, which has its own size."""
        return None if self.sampler in PLANNED_SAMPLERS else self.trials or 15

    def rungs_for_epochs(self, epochs: int) -> tuple[int, ...]:
        """Epochs at which trials are compared, for a recipe of ``epochs``.

        Training ends at the last of these.
        """
        if self.rungs is None:
            early_rungs = {max(1, round(epochs / self.eta**power)) for power in (1, 2)}
            rungs = (*sorted(early_rungs - {epochs}), epochs)
        else:
            rungs = tuple(sorted({min(rung, epochs) for rung in self.rungs})) or (epochs,)
        return rungs[-1:] if self.pruner == "none" else rungs
