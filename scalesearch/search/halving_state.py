"""The state of successive halving: its rules, trials, rungs, jobs and decisions.

Pure: no network, no clock, no file.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, Self, TypeAlias

from scalesearch.config.experiment import Experiment

SearchTrialState: TypeAlias = Literal["running", "complete", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvingConfig:
    """Rules of successive halving and of the race of seeds."""

    rungs: tuple[int, ...]
    """Epochs at which trials are compared, in increasing order; the last one ends a trial."""
    seeds: tuple[int, ...]
    """Seeds of a trial that may still win, in the order in which they are trained."""
    initial_seed_count: int
    """Number of seeds that every trial is trained with; the race adds the others one by one."""
    eta: int = 3
    """At each rung the best 1/eta of the trials continue."""
    asynchronous: bool = False
    """Decide about each trial when it arrives, not about a round when all of it has arrived."""
    together: bool = False
    """Train the seeds of a trial in one job."""
    tune_learning_rate: bool = False
    """Run a learning-rate sweep before the first epoch of a trial."""

    @classmethod
    def from_experiment(cls, experiment: Experiment) -> Self:
        """Return the rules that an experiment asks for."""
        search = experiment.search
        return cls(
            rungs=experiment.rungs,
            seeds=experiment.seeds,
            initial_seed_count=min(search.race or search.seeds, search.seeds),
            eta=search.eta,
            asynchronous=search.asynchronous,
            together=search.together,
            tune_learning_rate=experiment.recipe.learning_rate_rule == "tuned",
        )

    @property
    def initial_seeds(self) -> tuple[int, ...]:
        """Seeds that every trial is trained with."""
        return self.seeds[: self.initial_seed_count]

    @property
    def last_epoch(self) -> int:
        """Epoch at which training ends."""
        return self.rungs[-1]

    @property
    def stage_count(self) -> int:
        """Largest number of decisions about a trial: one per rung and one per later seed."""
        return len(self.rungs) + len(self.seeds) - self.initial_seed_count

    def seeds_and_epoch(self, stage: int) -> tuple[Sequence[int], int]:
        """Return the seeds and the epoch that they must reach to arrive at a stage."""
        later = max(0, stage - len(self.rungs) + 1)
        return self.seeds[: self.initial_seed_count + later], self.rungs[
            min(stage, len(self.rungs) - 1)
        ]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The part of a job that successive halving decides (see ``jobs.Job``)."""

    trial: int
    """Index of the trial in the order of plan and proposals."""
    seeds: tuple[int, ...]
    """One seed, or several that are trained together."""
    start: int
    """Epochs that are already on record."""
    stop: int
    """Last epoch of the job; 0 for a learning-rate sweep."""
    sweep: bool = False
    """Look for the trial's learning rate, and train nothing that is recorded."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of a trial."""

    trial: int
    """Index of the trial in the order of plan and proposals."""
    state: SearchTrialState
    """``complete``, ``stopped`` at a rung, or ``failed``."""
    reason: str = ""
    """Why it is not trained further, as in the records and in `status`."""
    kind: str = ""
    """Kind of the failure; empty for a trial that did not fail."""


class Rung:
    """A ranking of the trials at an epoch; ties in the order of the trials."""

    def __init__(self) -> None:
        self._ranking: list[tuple[float, int]] = []
        self._accuracies: dict[int, float] = {}

    @property
    def count(self) -> int:
        """Number of trials at this rung."""
        return len(self._ranking)

    @property
    def trials(self) -> list[int]:
        """All trials at this rung, the best first."""
        return [trial for _, trial in self._ranking]

    def add(self, trial: int, accuracy: float) -> None:
        """Add a trial; one that is already at the rung keeps its first accuracy."""
        if trial not in self._accuracies:
            self._accuracies[trial] = accuracy
            insort(self._ranking, (-accuracy, trial))

    def rank(self, trial: int) -> int:
        """Rank of a trial, 1 for the best."""
        return bisect_left(self._ranking, (-self._accuracies[trial], trial)) + 1

    def at_rank(self, rank: int) -> set[int]:
        """Return the trial of this rank, or nothing where the rung has fewer trials."""
        return {self._ranking[rank - 1][1]} if 1 <= rank <= self.count else set()


@dataclass(slots=True, eq=False)
class HalvingTrial:
    """A trial in successive halving: results, permitted training and progress."""

    index: int
    """Index of the trial in the order of plan and proposals."""
    role: str = "searched"
    """Roles joined by ``+``: ``searched`` and names of references."""
    accuracies: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Accuracies on record by seed when the trial enters, each from the first epoch on."""
    is_tuned: bool = False
    """The trial needs no learning-rate sweep (any more)."""
    state: SearchTrialState = "running"
    """A trial that has ended is not trained, but counts at the rungs."""
    round_index: int = 0
    stage: int = 0
    """Stage that the trial is training for (see ``HalvingConfig.seeds_and_epoch``)."""
    has_arrived: bool = False
    """The trial has reached its stage and waits for the decision."""
    busy_seeds: set[int] = field(default_factory=set)
    """Seeds with a job that is queued or running."""
    lost_seeds: set[int] = field(default_factory=set)
    """Seeds that cannot be trained."""
    target_epochs: dict[int, int] = field(default_factory=dict)
    """Epoch that each seed may be trained to."""
    reached_epochs: dict[int, int] = field(default_factory=dict)
    """Epoch that each seed has been trained to."""
    rung_accuracies: dict[int, dict[int, float]] = field(default_factory=dict)
    """Accuracy by rung and seed."""
    failure: tuple[JobSpec, str, str] | None = None
    """Job that failed, kind and reason; of several jobs, the one with the first seed."""

    @property
    def is_searched(self) -> bool:
        """Whether the trial is compared with the others."""
        return "searched" in self.role.split("+")

    @property
    def is_reference(self) -> bool:
        """Whether the trial gets all seeds and all epochs."""
        return self.role != "searched"

    def allow(self, seeds: Iterable[int], epoch: int) -> None:
        """Let these seeds be trained to this epoch."""
        for seed in seeds:
            self.target_epochs[seed] = max(epoch, self.target_epochs.get(seed, 0))

    def has_reached(self, seeds: Iterable[int], epoch: int) -> bool:
        """Whether these seeds have been trained to this epoch."""
        return all(self.reached_epochs.get(seed, 0) >= epoch for seed in seeds)

    @property
    def last_epoch(self) -> int:
        """Last epoch that any seed has been trained to."""
        return max(self.reached_epochs.values(), default=0)

    @property
    def is_done(self) -> bool:
        """Whether every seed has been trained to its target epoch."""
        return all(
            self.reached_epochs.get(seed, 0) >= target
            for seed, target in self.target_epochs.items()
        )

    def mean_accuracy(self, epoch: int, seeds: Sequence[int]) -> float | None:
        """Mean accuracy of these seeds at a rung; None until all have reached it."""
        accuracies = self.rung_accuracies.get(epoch, {})
        if any(seed not in accuracies for seed in seeds):
            return None
        return sum(accuracies[seed] for seed in seeds) / len(seeds)

    def next_jobs(self, seeds: Iterable[int], config: HalvingConfig) -> Iterator[JobSpec]:
        """Yield the next jobs of these seeds, each up to the seed's next rung."""
        if not self.is_tuned:
            if not self.busy_seeds and not self.lost_seeds:
                yield JobSpec(self.index, config.seeds[:1], 0, 0, sweep=True)
            return
        unavailable_seeds = self.busy_seeds | self.lost_seeds
        free_seeds = [
            seed
            for seed in sorted(seeds)
            if seed in self.target_epochs and seed not in unavailable_seeds
        ]
        spans = [(self._epoch_range(seed, config), seed) for seed in free_seeds]
        due = sorted(((span, seed) for span, seed in spans if span[0] < span[1]))
        if not config.together:
            yield from (JobSpec(self.index, (seed,), *span) for span, seed in due)
            return
        for span, group in groupby(due, key=lambda pair: pair[0]):
            yield JobSpec(self.index, tuple(seed for _, seed in group), *span)

    def _epoch_range(self, seed: int, config: HalvingConfig) -> tuple[int, int]:
        start = self.reached_epochs.get(seed, 0)
        stop = next((rung for rung in config.rungs if rung > start), start)
        return start, min(stop, self.target_epochs[seed])
