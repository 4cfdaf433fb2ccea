"""One candidate on its way through a search: how far it may go, how far it is, what it showed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, TypeAlias

State: TypeAlias = Literal["running", "complete", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a schedule goes by.

    ``rungs``: rising epochs. ``seeds``: of every candidate that may still win; ``first``: how many
    of them come before that is asked. ``eta``: of the candidates at a rung the best 1/eta go on.
    ``asynchronous``: each is decided on when it arrives, and not when its cohort has. ``together``:
    seeds are trained in one job. ``tuned``: a sweep comes before a candidate's first epoch.
    """

    rungs: tuple[int, ...]
    seeds: tuple[int, ...]
    first: int
    eta: int = 3
    asynchronous: bool = False
    together: bool = False
    tuned: bool = False

    @property
    def last(self) -> int:
        """The epoch at which training ends."""
        return self.rungs[-1]

    @property
    def stages(self) -> int:
        """How often a searched candidate is decided on at most: at each rung, and after each seed
        that comes later."""
        return len(self.rungs) + len(self.seeds) - self.first

    def needed(self, stage: int) -> tuple[Sequence[int], int]:
        """The seeds that have to be at which epoch, for a candidate to have arrived at a stage."""
        later = max(0, stage - len(self.rungs) + 1)
        return self.seeds[: self.first + later], self.rungs[min(stage, len(self.rungs) - 1)]


@dataclass(frozen=True, slots=True)
class Task:
    """Seeds of a candidate to be trained from the epoch after ``start`` to ``stop``, or a sweep.

    ``place``: the candidate's, in the order of plan and proposals.
    """

    place: int
    seeds: tuple[int, ...]
    start: int
    stop: int
    sweep: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a candidate ended. ``reason``: why it was not trained further, for people; ``kind``: of
    the failure."""

    place: int
    state: State
    reason: str = ""
    kind: str = ""


@dataclass(slots=True, eq=False)
class Runner:
    """A candidate on its way.

    ``searched``: it is compared with the others; ``reference``: it gets all seeds and epochs.
    ``stage``: that it is bound for. ``goal`` and ``reached``: the epoch that each seed may be
    trained to, and has been; ``values``: accuracy by rung and seed. ``busy``: seeds whose task has
    not ended; ``lost``: those that cannot be trained.
    """

    place: int
    cohort: int
    searched: bool
    reference: bool
    tuned: bool
    state: State = "running"
    stage: int = 0
    arrived: bool = False
    busy: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    goal: dict[int, int] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    values: dict[int, dict[int, float]] = field(default_factory=dict)
    failure: tuple[Task, str, str] | None = None

    def grant(self, seeds: Iterable[int], epoch: int) -> None:
        """These seeds may be trained to this epoch."""
        for seed in seeds:
            self.goal[seed] = max(epoch, self.goal.get(seed, 0))

    def at(self, seeds: Iterable[int], epoch: int) -> bool:
        """Whether these seeds have been trained to this epoch."""
        return all(self.reached.get(seed, 0) >= epoch for seed in seeds)

    @property
    def furthest(self) -> int:
        """The last epoch that any seed has been trained to."""
        return max(self.reached.values(), default=0)

    @property
    def through(self) -> bool:
        """Whether all that may be trained has been."""
        return all(self.reached.get(seed, 0) >= goal for seed, goal in self.goal.items())

    def value(self, epoch: int, seeds: Sequence[int]) -> float | None:
        """Mean accuracy of these seeds at a rung, once all are there."""
        found = self.values.get(epoch, {})
        if any(seed not in found for seed in seeds):
            return None
        return sum(found[seed] for seed in seeds) / len(seeds)

    def tasks(self, seeds: Iterable[int], rules: Rules) -> Iterator[Task]:
        """What is to be trained next of these seeds, each to its next rung."""
        if not self.tuned:
            if not self.busy and not self.lost:
                yield Task(self.place, rules.seeds[:1], 0, 0, sweep=True)
            return
        held = self.busy | self.lost
        free = [seed for seed in sorted(seeds) if seed in self.goal and seed not in held]
        spans = [(self._span(seed, rules), seed) for seed in free]
        due = sorted(((span, seed) for span, seed in spans if span[0] < span[1]))
        if not rules.together:
            yield from (Task(self.place, (seed,), *span) for span, seed in due)
            return
        for span, group in groupby(due, key=lambda pair: pair[0]):
            yield Task(self.place, tuple(seed for _, seed in group), *span)

    def _span(self, seed: int, rules: Rules) -> tuple[int, int]:
        start = self.reached.get(seed, 0)
        stop = next((rung for rung in rules.rungs if rung > start), start)
        return start, min(stop, self.goal[seed])


def past_values(
    past: Mapping[int, Sequence[float]], rungs: Sequence[int]
) -> dict[int, dict[int, float]]:
    """Accuracy by rung and seed, of each seed's accuracies from its first epoch on."""
    return {
        rung: {seed: told[rung - 1] for seed, told in past.items() if len(told) >= rung}
        for rung in rungs
    }
