"""One candidate on its way through a search: how far it may go, how far it is, what it showed.

Optuna's pruners as judges at the rungs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, TypeAlias

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.trial import TrialState, create_trial

from scalesearch.search.study import optuna_private

SearchTrialState: TypeAlias = Literal["running", "complete", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvingConfig:
    """What a schedule goes by.

    ``rungs``: rising epochs. ``seeds``: of every candidate that may still win; ``first``: how many
    of them come before that is asked. ``eta``: of the candidates at a rung the best 1/eta go on.
    ``asynchronous``: each is decided on when it arrives, and not when its cohort has. ``together``:
    seeds are trained in one job. ``tuned``: a sweep comes before a candidate's first epoch.
    """

    rungs: tuple[int, ...]
    seeds: tuple[int, ...]
    initial_seed_count: int
    eta: int = 3
    asynchronous: bool = False
    together: bool = False
    tune_learning_rate: bool = False

    @property
    def last_epoch(self) -> int:
        """The epoch at which training ends."""
        return self.rungs[-1]

    @property
    def stage_count(self) -> int:
        """How often a searched candidate is decided on at most: at each rung, and after each seed
        that comes later."""
        return len(self.rungs) + len(self.seeds) - self.initial_seed_count

    def seeds_and_epoch(self, stage: int) -> tuple[Sequence[int], int]:
        """The seeds that have to be at which epoch, for a candidate to have arrived at a stage."""
        later = max(0, stage - len(self.rungs) + 1)
        return self.seeds[: self.initial_seed_count + later], self.rungs[
            min(stage, len(self.rungs) - 1)
        ]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Seeds of a candidate to be trained from the epoch after ``start`` to ``stop``, or a sweep.

    ``place``: the candidate's, in the order of plan and proposals.
    """

    trial: int
    seeds: tuple[int, ...]
    start: int
    stop: int
    sweep: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """How a candidate ended. ``reason``: why it was not trained further, for people; ``kind``: of
    the failure."""

    trial: int
    state: SearchTrialState
    reason: str = ""
    kind: str = ""


@dataclass(slots=True, eq=False)
class TrialProgress:
    """A candidate on its way.

    ``searched``: it is compared with the others; ``reference``: it gets all seeds and epochs.
    ``stage``: that it is bound for. ``goal`` and ``reached``: the epoch that each seed may be
    trained to, and has been; ``values``: accuracy by rung and seed. ``busy``: seeds whose task has
    not ended; ``lost``: those that cannot be trained.
    """

    trial: int
    round_index: int
    is_searched: bool
    is_reference: bool
    is_tuned: bool
    state: SearchTrialState = "running"
    stage: int = 0
    has_arrived: bool = False
    busy_seeds: set[int] = field(default_factory=set)
    lost_seeds: set[int] = field(default_factory=set)
    target_epochs: dict[int, int] = field(default_factory=dict)
    reached_epochs: dict[int, int] = field(default_factory=dict)
    rung_accuracies: dict[int, dict[int, float]] = field(default_factory=dict)
    failure: tuple[JobSpec, str, str] | None = None

    def allow(self, seeds: Iterable[int], epoch: int) -> None:
        """These seeds may be trained to this epoch."""
        for seed in seeds:
            self.target_epochs[seed] = max(epoch, self.target_epochs.get(seed, 0))

    def has_reached(self, seeds: Iterable[int], epoch: int) -> bool:
        """Whether these seeds have been trained to this epoch."""
        return all(self.reached_epochs.get(seed, 0) >= epoch for seed in seeds)

    @property
    def last_epoch(self) -> int:
        """The last epoch that any seed has been trained to."""
        return max(self.reached_epochs.values(), default=0)

    @property
    def is_done(self) -> bool:
        """Whether all that may be trained has been."""
        return all(
            self.reached_epochs.get(seed, 0) >= target
            for seed, target in self.target_epochs.items()
        )

    def mean_accuracy(self, epoch: int, seeds: Sequence[int]) -> float | None:
        """Mean accuracy of these seeds at a rung, once all are there."""
        accuracies = self.rung_accuracies.get(epoch, {})
        if any(seed not in accuracies for seed in seeds):
            return None
        return sum(accuracies[seed] for seed in seeds) / len(seeds)

    def next_jobs(self, seeds: Iterable[int], config: HalvingConfig) -> Iterator[JobSpec]:
        """What is to be trained next of these seeds, each to its next rung."""
        if not self.is_tuned:
            if not self.busy_seeds and not self.lost_seeds:
                yield JobSpec(self.trial, config.seeds[:1], 0, 0, sweep=True)
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
            yield from (JobSpec(self.trial, (seed,), *span) for span, seed in due)
            return
        for span, group in groupby(due, key=lambda pair: pair[0]):
            yield JobSpec(self.trial, tuple(seed for _, seed in group), *span)

    def _epoch_range(self, seed: int, config: HalvingConfig) -> tuple[int, int]:
        start = self.reached_epochs.get(seed, 0)
        stop = next((rung for rung in config.rungs if rung > start), start)
        return start, min(stop, self.target_epochs[seed])


def past_values(
    accuracies: Mapping[int, Sequence[float]], rungs: Sequence[int]
) -> dict[int, dict[int, float]]:
    """Accuracy by rung and seed, of each seed's accuracies from its first epoch on."""
    return {
        rung: {
            seed: seed_accuracies[rung - 1]
            for seed, seed_accuracies in accuracies.items()
            if len(seed_accuracies) >= rung
        }
        for rung in rungs
    }


class OptunaPruner:
    """A pruner of Optuna's over a study of its own, in memory, which holds rungs and nothing else.

    Told the same candidates in the same order, it decides the same.
    """

    def __init__(self, name: str, rungs: Sequence[int], eta: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.name = name
        pruner: BasePruner
        if name == "median":
            pruner = MedianPruner(n_startup_trials=5)
        else:
            pruner = HyperbandPruner(
                min_resource=rungs[0], max_resource=rungs[-1], reduction_factor=eta
            )
        # Hyperband deals trials to its brackets by the study's name.
        self.study = optuna.create_study(study_name="rungs", direction="maximize", pruner=pruner)
        self.trial_ids: dict[int, int] = {}

    def should_prune(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a candidate with this mean accuracy at a rung is to be stopped."""
        if trial not in self.trial_ids:
            running = create_trial(state=TrialState.RUNNING)
            self.trial_ids[trial] = optuna_private.create_trial(self.study, running)
        trial_id = self.trial_ids[trial]
        optuna_private.set_intermediate_value(self.study, trial_id, epoch, value)
        return self.study.pruner.prune(self.study, optuna_private.read_trial(self.study, trial_id))

    def report_end(self, trial: int, value: float | None) -> None:
        """A candidate was trained to the last epoch (None: it was not)."""
        if trial not in self.trial_ids:
            return  # it failed before its first rung
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        values = None if value is None else [value]
        optuna_private.set_state(self.study, self.trial_ids[trial], state, values)
