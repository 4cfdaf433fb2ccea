"""Networks that are asked for one by one, where no sampler chooses: ablations, confirmations.

Which candidates are trained, how far, how often, and when it is enough.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scalesearch.config.validation import raise_problems

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
            (
                "multipliers",
                all(0 < multiplier < math.inf for multiplier in multipliers),
                "numbers above 0",
            ),
            (
                "multipliers",
                all(one >= 1 for one in multipliers) or all(one <= 1 for one in multipliers),
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


Reference: TypeAlias = Literal["depth", "width", "resolution", "uniform", "paper", "fast"]
REFERENCES: tuple[Reference, ...] = ("depth", "width", "resolution", "uniform", "paper")
PLANNED_SAMPLERS = ("lattice", "cartesian", "optimal", "points")
LATTICE_STEP = 6
"""28 candidates. On simulated surfaces (results/benchmarks) the 15 of step 4 miss the best of all
candidates by more than 0.3 points on half of them, these on none, for 4% of an exhaustive grid's
epochs."""
OPTIMAL_TRIALS = 12
"""Ten that determine a surface of six terms and two check points; with the references together as
many as a lattice of step 4 and its references, for a lower mean variance of the surface."""
DEFAULT_ROUND_SIZE = 5
"""Proposals made at once, unless the experiment says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """When a search is enough, besides its candidates being trained; what is None never stops it.

    ``epochs``: trained in all. ``device_hours``: of training, by all workers together.
    ``hours``: since this driver began. ``accuracy``: mean over seeds, at the last epoch, of any
    candidate. ``interval``: the widest of the 90% intervals of the optimum's shares is narrower
    than this. ``noise``: true stops where the gain still to be expected is less than the noise.
    """

    epochs: int | None = None
    device_hours: float | None = None
    hours: float | None = None
    accuracy: float | None = None
    interval: float | None = None
    noise: bool = False

    def __post_init__(self) -> None:
        raise_problems(
            f"{name}: need a number above 0, got {value!r}"
            for name in ("epochs", "device_hours", "hours", "accuracy", "interval")
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """What a class of failures may cost.

    ``retries``: how often a job is tried again before its candidate fails. ``candidates``: how
    many candidates may fail so before the search stops, as something is wrong with all of them;
    None is any number.
    """

    retries: int = 0
    candidates: int | None = None

    def __post_init__(self) -> None:
        problems = [] if self.retries >= 0 else [f"retries: need at least 0, got {self.retries}"]
        if self.candidates is not None and self.candidates < 0:
            problems.append(f"candidates: need at least 0, got {self.candidates}")
        raise_problems(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSpec:
    """What each class of failures may cost. Failures of the data, and bugs, stop a search at once.

    ``timeout``: a job that takes longer than ``job_seconds``.
    """

    out_of_memory: FailureLimit = field(default_factory=FailureLimit)
    diverged: FailureLimit = field(default_factory=FailureLimit)
    worker_lost: FailureLimit = field(default_factory=lambda: FailureLimit(retries=3, candidates=3))
    timeout: FailureLimit = field(default_factory=lambda: FailureLimit(retries=1, candidates=3))
    job_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.job_seconds is not None and not 0 < self.job_seconds < math.inf:
            raise_problems([f"job_seconds: need a number above 0, got {self.job_seconds!r}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """Which candidates are trained, and how far and how often.

    ``sampler``: ``lattice`` (all shares that are multiples of 1/``step``), ``cartesian`` (the
    classic grid: ``alpha``, ``beta``, ``gamma`` in their ranges, ``step`` apart, with
    |alpha * beta^2 * gamma^2 - F| <= ``product_tolerance``), ``optimal`` (those of the budget's
    networks that, with the references, determine a quadratic surface best, a fifth of them check
    points that show where it is none; pruner ``none`` and race null keep them all), or Optuna's
    ``tpe``, ``gp``, ``sobol``, ``random``, or ``nsga2`` for accuracy ``against`` a cost; or
    ``points``, which are the networks listed, each trained to the end with all seeds. ``step``: 6
    for the lattice and 0.05 for the grid where it is None. ``trials``: how many candidates a
    sampler proposes (15 where it is None; 12 for ``optimal``); a grid stops there. ``cohort``:
    proposals that are made at once, knowing of each other and of all that ended before them.

    ``seeds``: runs of each candidate; ``together``: train them at the same time, which is faster
    where one network does not fill the device (a GPU). ``references``: points trained beside the
    searched ones, always with all seeds and to the last epoch.

    ``rungs``: epochs at which candidates are compared, of which the best 1/``eta`` go on; training
    ends at the last, which may come before the recipe's end; what lies beyond is that end. None:
    after a ninth, a third and all of the recipe's epochs. ``pruner``: who decides there:
    ``halving``, Optuna's ``median`` or ``hyperband``, or ``none``. ``asynchronous``: decide as soon
    as a candidate is there, and not when its whole cohort is; no worker waits, and the records
    depend on who came first. ``race``: after ``race`` seeds, further ones go only to candidates
    that may still win; None gives all seeds to all. ``stop``: when it is enough. ``failures``: what
    may go wrong.
    """

    sampler: Literal[
        "lattice", "cartesian", "optimal", "points", "tpe", "gp", "sobol", "random", "nsga2"
    ] = "lattice"
    points: tuple[PointSpec, ...] = ()
    step: float | None = None
    trials: int | None = None
    cohort: int = DEFAULT_ROUND_SIZE
    against: Literal["macs", "params", "activations"] | None = None
    seeds: int = 3
    together: bool = False
    references: tuple[Reference, ...] = REFERENCES
    rungs: tuple[int, ...] | None = None
    eta: int = 3
    pruner: Literal["halving", "median", "hyperband", "none"] = "halving"
    asynchronous: bool = False
    race: int | None = 2
    stop: StopSpec = field(default_factory=StopSpec)
    failures: FailureSpec = field(default_factory=FailureSpec)
    alpha: tuple[float, float] = (1.0, 2.0)
    beta: tuple[float, float] = (1.0, 1.5)
    gamma: tuple[float, float] = (1.0, 1.5)
    product_tolerance: float = 0.1

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
                "a cost for nsga2, and null else",
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
        raise_problems(
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, holds, rule in checks
            if not holds
        )

    def _point_checks(self) -> list[tuple[str, bool, str]]:
        """What holds where networks are listed: (field, whether, rule)."""
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
        """How many proposals a sampler makes; None for a grid, which knows its own size."""
        return None if self.sampler in PLANNED_SAMPLERS else self.trials or 15

    def rungs_for_epochs(self, epochs: int) -> tuple[int, ...]:
        """The epochs at which candidates are compared, of a recipe of ``epochs``; they are trained
        to the last of these."""
        if self.rungs is None:
            early_rungs = {max(1, round(epochs / self.eta**power)) for power in (1, 2)}
            rungs = (*sorted(early_rungs - {epochs}), epochs)
        else:
            rungs = tuple(sorted({min(rung, epochs) for rung in self.rungs})) or (epochs,)
        return rungs[-1:] if self.pruner == "none" else rungs
