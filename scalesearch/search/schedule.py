"""Who is trained how far: rungs, successive halving and the race of seeds, as a state machine.

It knows numbers alone: no network, no clock, no file. Told the same results in another order, a
synchronous schedule gives the same verdicts, since it decides about a cohort when all of it has
arrived. Told on resuming what the ledger holds, it is where it was.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from scalesearch.analysis.pairs import may_still_win
from scalesearch.search.ladder import Ladder
from scalesearch.search.runners import Rules, Runner, State, Task, Verdict, past_values

LEVEL = 0.1
"""Chance of losing the best candidate in the race of seeds, all its looks together."""


class Pruner(Protocol):
    """Decides about candidates at rungs, in place of halving."""

    @property
    def name(self) -> str:
        """For people."""

    def prunes(self, place: int, epoch: int, value: float) -> bool:
        """Whether a candidate with this mean accuracy at a rung is to be stopped."""

    def ended(self, place: int, value: float | None) -> None:
        """A candidate was trained to the last epoch (None: it was not)."""


class Schedule:
    """The state of all candidates of a search, changed by what is told of them."""

    def __init__(self, rules: Rules, pruner: Pruner | None = None) -> None:
        self.rules = rules
        self.pruner = pruner
        self.runners: dict[int, Runner] = {}
        self.cohorts: dict[int, list[Runner]] = {}
        self.live: set[int] = set()
        self.ladders = {rung: Ladder() for rung in rules.rungs}
        self._ready: list[tuple[tuple[int, int, int, int], Task]] = []
        self._verdicts: list[Verdict] = []
        self._awaited: dict[int, int] = {}
        self._running: Counter[int] = Counter()

    def enter(
        self,
        place: int,
        cohort: int,
        *,
        searched: bool = True,
        reference: bool = False,
        past: Mapping[int, Sequence[float]] | None = None,
        tuned: bool = False,
        state: State = "running",
    ) -> None:
        """A candidate of a cohort; ``begin`` follows when all of the cohort are entered.

        ``past``: what the ledger holds, each seed's accuracies from its first epoch on; ``state``:
        how the candidate has ended, if it has.
        """
        rules, past = self.rules, past or {}
        runner = Runner(place, cohort, searched, reference, tuned or not rules.tuned, state)
        runner.reached = {seed: len(told) for seed, told in past.items()}
        runner.values = past_values(past, rules.rungs)
        self.runners[place] = runner
        self.cohorts.setdefault(cohort, []).append(runner)
        self._climb(runner)
        if state != "running":
            return
        self.live.add(place)
        self._running[cohort] += 1
        if reference:
            runner.grant(rules.seeds, rules.last)
        if searched:
            runner.grant(*rules.needed(0))

    def begin(self, cohort: int) -> None:
        """All of a cohort are entered: what may be trained of it is offered."""
        members = self.cohorts[cohort]
        self._awaited[cohort] = self._missing(cohort)
        for runner in members:
            if runner.state == "running":
                self._offer(runner, runner.goal)
        if self._awaited[cohort] == 0:
            self._replay(cohort)
        for runner in members:
            if self.rules.asynchronous and runner.state != "running":
                self._make_room()
            self._settle(runner)

    def reach(self, place: int, seed: int, epoch: int, accuracy: float) -> None:
        """A seed has been trained to this epoch."""
        runner = self.runners[place]
        runner.reached[seed] = max(epoch, runner.reached.get(seed, 0))
        if epoch in self.ladders:
            runner.values.setdefault(epoch, {})[seed] = accuracy
            self._climb(runner)

    def close(self, task: Task) -> None:
        """A task has ended; where it was halted before its end, the rest is offered again."""
        runner = self.runners[task.place]
        runner.busy -= set(task.seeds)
        if task.sweep:
            runner.tuned = True
        if runner.state == "running":
            self._offer(runner, runner.goal if task.sweep else task.seeds)
        self._settle(runner)

    def fail(self, task: Task, kind: str, reason: str) -> None:
        """A task cannot be done. Its candidate fails when its other seeds are where they may be
        trained to, so that who was faster does not matter."""
        runner = self.runners[task.place]
        runner.busy -= set(task.seeds)
        runner.lost |= set(task.seeds)
        if runner.failure is None or task.seeds < runner.failure[0].seeds:
            runner.failure = (task, kind, reason)
        self._settle(runner)

    def rest(self, task: Task) -> Task:
        """What is left of a task that was lost."""
        reached = self.runners[task.place].reached
        return replace(task, start=min(reached.get(seed, 0) for seed in task.seeds))

    def finish(self) -> None:
        """No further candidate comes and nothing is under way: who still waits is stopped."""
        for place in sorted(self.live):
            runner = self.runners[place]
            if runner.arrived and not runner.busy:
                self._end(runner, "stopped", self._standing(runner))

    def pop(self) -> Task | None:
        """The next task, or None where all that may be trained is under way."""
        return heapq.heappop(self._ready)[1] if self._ready else None

    @property
    def idle(self) -> bool:
        """Whether all that may be trained is under way."""
        return not self._ready

    def verdicts(self) -> list[Verdict]:
        """Who has ended since this was last asked, in the order of their places."""
        told, self._verdicts = sorted(self._verdicts, key=lambda told: told.place), []
        return told

    def is_over(self, cohort: int) -> bool:
        """Whether every member of a cohort has ended."""
        return self._running[cohort] == 0

    # What follows from what it is told.

    def _offer(self, runner: Runner, seeds: Iterable[int]) -> None:
        first = self.rules.seeds[: self.rules.first]
        for task in list(runner.tasks(seeds, self.rules)):
            # What a cohort waits for comes before what nobody waits for.
            awaited = runner.searched and task.seeds[0] in first
            ahead = -task.stop if self.rules.asynchronous else 0
            order = (int(runner.reference and not awaited), ahead, runner.place, task.seeds[0])
            heapq.heappush(self._ready, (order, task))
            runner.busy |= set(task.seeds)

    def _climb(self, runner: Runner) -> None:
        """Put a candidate on the rungs that all its first seeds have reached."""
        first = self.rules.seeds[: self.rules.first]
        for rung, ladder in self.ladders.items():
            value = runner.value(rung, first) if runner.searched else None
            if value is not None:
                ladder.put(runner.place, value)

    def _settle(self, runner: Runner) -> None:
        """What follows for a candidate from where it is."""
        if runner.state != "running":
            return
        if runner.failure is not None:
            if not runner.busy:
                _, kind, reason = runner.failure
                awaited = runner.searched and not runner.arrived
                self._end(runner, "failed", reason, kind)
                self._count(runner.cohort, int(awaited))
        elif runner.stage == self.rules.stages or not runner.searched:
            if runner.through:
                self._end(runner, "complete")
        elif not runner.arrived and runner.at(*self.rules.needed(runner.stage)):
            runner.arrived = True
            if self.rules.asynchronous:
                self._decide([runner])
            else:
                self._count(runner.cohort, 1)

    def _missing(self, cohort: int) -> int:
        """How many of a cohort have not arrived at the stage that they are bound for."""
        return sum(
            runner.searched
            and runner.state == "running"
            and not runner.arrived
            and runner.stage < self.rules.stages
            for runner in self.cohorts[cohort]
        )

    def _count(self, cohort: int, arrived: int) -> None:
        """Decide about a cohort when all of it has arrived."""
        if self.rules.asynchronous or not arrived:
            return
        self._awaited[cohort] -= arrived
        if self._awaited[cohort] == 0:
            there = [r for r in self.cohorts[cohort] if r.state == "running" and r.arrived]
            self._decide(there)
            self._awaited[cohort] = self._missing(cohort)
            for runner in there:
                self._settle(runner)

    def _decide(self, arrived: Sequence[Runner]) -> None:
        """Who of those at one stage goes on."""
        if not arrived:
            return
        if arrived[0].stage < len(self.rules.rungs) - 1:
            self._compare(arrived)
        else:
            self._race(arrived)

    def _compare(self, arrived: Sequence[Runner]) -> None:
        """At a rung before the last, the best go on."""
        stage, rules = arrived[0].stage, self.rules
        ladder = self.ladders[rules.rungs[stage]]
        if self.pruner is not None:
            going = self._unpruned(arrived, stage)
        elif rules.asynchronous:
            # One more at a rung moves at most one other into the part that goes on.
            quota = ladder.count // rules.eta
            places = {runner.place for runner in arrived} | ladder.at(quota)
            going = {place for place in places if ladder.position(place) <= quota}
        else:
            quota = -(-ladder.count // rules.eta)
            going = {r.place for r in arrived if ladder.position(r.place) <= quota}
        # Beyond the rung is who went on before the driver was started again.
        going |= {r.place for r in arrived if r.reference or r.furthest > rules.rungs[stage]}
        self._let_on(going, stage)
        if self.pruner is not None or not rules.asynchronous:
            for runner in arrived:
                if runner.place not in going:
                    self._end(runner, "stopped", self._standing(runner))

    def _let_on(self, going: Iterable[int], stage: int) -> None:
        for place in sorted(going):
            runner = self.runners[place]
            if runner.state == "running" and runner.arrived and runner.stage == stage:
                self._advance(runner)

    def _make_room(self) -> None:
        """On resuming, who has ended counts at the rungs, and one who waits there may go on."""
        if self.pruner is None:
            for stage, rung in enumerate(self.rules.rungs[:-1]):
                ladder = self.ladders[rung]
                self._let_on(ladder.at(ladder.count // self.rules.eta), stage)

    def _unpruned(self, arrived: Sequence[Runner], stage: int) -> set[int]:
        """Whom the pruner lets go on. It is told of all the cohort, in the order of their places,
        also of those whose end is on record: it learns from each."""
        asked = arrived if self.rules.asynchronous else self.cohorts[arrived[0].cohort]
        return self._asked(asked, stage)

    def _asked(self, runners: Sequence[Runner], stage: int) -> set[int]:
        assert self.pruner is not None
        rung, first = self.rules.rungs[stage], self.rules.seeds[: self.rules.first]
        going = set()
        for runner in sorted(runners, key=lambda runner: runner.place):
            value = runner.value(rung, first) if runner.searched else None
            if value is not None and not self.pruner.prunes(runner.place, rung, value):
                going.add(runner.place)
        return going

    def _replay(self, cohort: int) -> None:
        """Tell the pruner of a cohort that has ended before."""
        if self.pruner is not None:
            for stage in range(len(self.rules.rungs) - 1):
                self._asked(self.cohorts[cohort], stage)
            if self.is_over(cohort):
                self._tell_pruner(cohort)

    def _race(self, arrived: Sequence[Runner]) -> None:
        """At the last rung a further seed goes to those that may still win."""
        seeds, last = self.rules.needed(arrived[0].stage)
        more = len(self.rules.seeds) - len(seeds)
        winning: Mapping[str, bool] = {}
        if more > 0:
            there = (self.runners[place] for place in self.ladders[last].places)
            values = {
                str(runner.place): {seed: runner.values[last][seed] for seed in seeds}
                for runner in there
                if runner.value(last, seeds) is not None
            }
            winning = may_still_win(values, LEVEL / (len(self.rules.seeds) - self.rules.first))
        for runner in arrived:
            if more == 0 or runner.reference or winning[str(runner.place)]:
                self._advance(runner)
            else:
                reason = f"out of the race after {len(seeds)} seeds"
                self._end(runner, "complete", reason)

    def _advance(self, runner: Runner) -> None:
        runner.stage += 1
        runner.arrived = False
        if runner.stage < self.rules.stages:
            runner.grant(*self.rules.needed(runner.stage))
            self._offer(runner, runner.goal)
        if self.rules.asynchronous:
            self._settle(runner)

    def _end(self, runner: Runner, state: State, reason: str = "", kind: str = "") -> None:
        runner.state = state
        self.live.discard(runner.place)
        self._running[runner.cohort] -= 1
        self._verdicts.append(Verdict(runner.place, state, reason, kind))
        if self.pruner is not None and self.rules.asynchronous:
            self.pruner.ended(runner.place, self._final(runner))
        elif self.pruner is not None and self.is_over(runner.cohort):
            self._tell_pruner(runner.cohort)

    def _tell_pruner(self, cohort: int) -> None:
        assert self.pruner is not None
        for runner in sorted(self.cohorts[cohort], key=lambda runner: runner.place):
            if runner.searched and runner.state != "running":
                self.pruner.ended(runner.place, self._final(runner))

    def _final(self, runner: Runner) -> float | None:
        return runner.value(self.rules.last, self.rules.seeds[: self.rules.first])

    def _standing(self, runner: Runner) -> str:
        """Why a candidate does not go on from its rung."""
        epoch = self.rules.rungs[runner.stage]
        if self.pruner is not None:
            return f"stopped by the {self.pruner.name} pruner at epoch {epoch}"
        ladder = self.ladders[epoch]
        return f"halved at epoch {epoch}: place {ladder.position(runner.place)} of {ladder.count}"
