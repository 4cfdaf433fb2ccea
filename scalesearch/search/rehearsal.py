"""A search as it goes if all candidates do equally well: its jobs, and when they end.

The schedule itself is told so, by workers that take as long as they are said to. With equal
accuracies, the references' a trifle lower, the rungs let on as many as they may, and the race
drops nobody.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scalesearch.search.runners import Task
from scalesearch.search.schedule import Schedule
from scalesearch.search.source import Source
from scalesearch.training import SWEEP

EQUAL = 0.5
BEHIND = 1e-9
"""By how much references are behind, which go on in any case: no other's place is theirs."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Jobs of one kind, counted. ``seeds`` are trained in each, for ``epochs``: the last is
    ``stop``, and 0 for sweeps of learning rates. ``references``: trained to the end in any case."""

    stop: int
    references: bool
    jobs: int
    candidates: int
    seeds: int
    epochs: int

    @property
    def trained(self) -> int:
        """Epochs that come into the records."""
        return self.jobs * self.seeds * self.epochs if self.stop else 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """``seconds``: until the last job ends; ``busy``: of all jobs together."""

    stages: tuple[Stage, ...]
    seconds: float
    busy: float


def rehearsed(
    schedule: Schedule, source: Source, workers: int, epoch_seconds: Callable[[int], float]
) -> Rehearsal:
    """Play a search through. ``schedule``: an empty one by its rules. ``epoch_seconds``: of one
    epoch of the candidate at a place."""
    done: list[Task] = []
    ends: list[tuple[float, int, Task]] = []
    busy = clock = 0.0
    cohorts = _entered(schedule, source)
    while True:
        while len(ends) < workers:
            task = schedule.pop()
            if task is not None:
                took = _epochs(task) * epoch_seconds(task.place)
                busy += took
                heapq.heappush(ends, (clock + took, len(done) + len(ends), task))
            elif not next(cohorts, False):
                break
        if not ends:
            schedule.finish()
            if not schedule.verdicts():
                break
            continue
        clock, _, task = heapq.heappop(ends)
        done.append(task)
        accuracy = EQUAL - BEHIND * schedule.runners[task.place].reference
        for epoch in range(task.start + 1, task.stop + 1):
            for seed in task.seeds:
                schedule.reach(task.place, seed, epoch, accuracy)
        schedule.close(task)
    return Rehearsal(tuple(_stages(done, source)), clock, busy)


def _entered(schedule: Schedule, source: Source) -> Iterator[bool]:
    """Let one cohort in whenever asked; false as long as the one before is not over."""
    cohort = 0
    while members := source.members(cohort):
        while cohort and not (schedule.rules.asynchronous or schedule.is_over(cohort - 1)):
            yield False
        for place in members:
            roles = _roles(source, place)
            schedule.enter(
                place, cohort, searched="searched" in roles, reference=roles != ["searched"]
            )
        schedule.begin(cohort)
        cohort += 1
        yield True


def _roles(source: Source, place: int) -> list[str]:
    planned = source.planned
    return planned[place].role.split("+") if place < len(planned) else ["searched"]


def _epochs(task: Task) -> int:
    return len(SWEEP) if task.sweep else len(task.seeds) * (task.stop - task.start)


def _stages(tasks: list[Task], source: Source) -> Iterator[Stage]:
    jobs: Counter[tuple[int, bool, int, int]] = Counter()
    places: dict[tuple[int, bool, int, int], set[int]] = {}
    for task in tasks:
        alone = _roles(source, task.place) != ["searched"]
        epochs = len(SWEEP) if task.sweep else task.stop - task.start
        kind = (task.stop, alone, epochs, len(task.seeds))
        jobs[kind] += 1
        places.setdefault(kind, set()).add(task.place)
    for kind in sorted(jobs):
        stop, alone, epochs, seeds = kind
        yield Stage(stop, alone, jobs[kind], len(places[kind]), seeds, epochs)
