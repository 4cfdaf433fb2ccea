"""Searches without training: a halving, its records, and workers that end in any order.

Records survive a kill, and another game on the same records continues from them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st

from scalesearch.search.halving_state import Decision, HalvingConfig, HalvingTrial, JobSpec
from scalesearch.search.pruners import OptunaPruner
from scalesearch.search.successive_halving import SuccessiveHalving


class Killed(Exception):
    """Stands for a kill of the driver."""


@dataclass(frozen=True)
class Plot:
    """The trials of a search and their accuracies.

    ``searched_references`` and ``references``: indices of trials. ``fails``: (trial, seed, epoch),
    the epoch that the seed never reaches.
    """

    rules: HalvingConfig
    round_sizes: tuple[int, ...]
    salt: int = 0
    levels: int = 1000
    searched_references: frozenset[int] = frozenset()
    references: frozenset[int] = frozenset()
    fails: tuple[tuple[int, int, int], ...] = ()
    pruner: str = "halving"

    @property
    def members(self) -> list[list[int]]:
        if self.rules.asynchronous:
            return [[place] for place in range(sum(self.round_sizes))]
        starts = [sum(self.round_sizes[:number]) for number in range(len(self.round_sizes))]
        return [list(range(a, a + n)) for a, n in zip(starts, self.round_sizes, strict=True)]

    def accuracy(self, place: int, seed: int, epoch: int) -> float:
        """Of few levels there are ties."""
        chance = Random(f"{self.salt} {place} {seed} {epoch}")
        return chance.randrange(self.levels) / self.levels

    def schedule(self) -> SuccessiveHalving:
        name, rules = self.pruner, self.rules
        other = OptunaPruner(name, rules.rungs, rules.eta) if name != "halving" else None
        return SuccessiveHalving(rules, other)


@dataclass
class Ledger:
    """What survives. ``trained``: every epoch of every seed as often as it was trained."""

    rows: dict[int, dict[int, list[float]]] = field(default_factory=dict)
    ends: dict[int, Decision] = field(default_factory=dict)
    tuned: set[int] = field(default_factory=set)
    trained: list[tuple[int, int, int]] = field(default_factory=list)
    sweeps: list[int] = field(default_factory=list)
    jobs: list[JobSpec] = field(default_factory=list)

    def epochs(self) -> dict[tuple[int, int], int]:
        return {(p, s): len(told) for p, seeds in self.rows.items() for s, told in seeds.items()}


def play(
    plot: Plot,
    ledger: Ledger | None = None,
    *,
    workers: int = 3,
    order: int = 0,
    kill_after: int | None = None,
    halts: bool = False,
    watch: Callable[[SuccessiveHalving, Decision], None] = lambda schedule, decision: None,
) -> Ledger:
    """Bring a search to its end. ``order``: seeds who is first; ``kill_after``: so many writes;
    ``halts``: jobs may end before their time, as they do under SIGINT."""
    game = _Game(plot, ledger or Ledger(), Random(order), kill_after, watch)
    while True:
        game.tell()
        game.fill(workers)
        if game.running:
            game.finish_one(halts)
            continue
        game.schedule.stop_waiting_trials()
        if not game.tell():
            return game.ledger


def play_on(plot: Plot, chance: Random, **options: object) -> Ledger:
    """Kill it again and again at any write, until it gets to its end."""
    ledger = Ledger()
    for _ in range(500):
        try:
            return play(
                plot,
                ledger,
                order=chance.randrange(10**6),
                kill_after=chance.randrange(1, 12),
                **options,
            )
        except Killed:
            continue
    raise AssertionError("does not end")


@dataclass
class _Game:
    plot: Plot
    ledger: Ledger
    chance: Random
    kill_after: int | None
    watch: Callable[[SuccessiveHalving, Decision], None]
    running: list[JobSpec] = field(default_factory=list)
    round_index: int = 0

    def __post_init__(self) -> None:
        self.schedule = self.plot.schedule()
        known = max((*self.ledger.rows, *self.ledger.ends, *self.ledger.tuned), default=-1)
        for members in self.plot.members:
            if known >= members[0]:
                self._enter(members)

    def _enter(self, members: Sequence[int]) -> None:
        trials = []
        for place in members:
            end = self.ledger.ends.get(place)
            is_searched_reference = place in self.plot.searched_references
            role = "depth+searched" if is_searched_reference else "searched"
            trials.append(
                HalvingTrial(
                    place,
                    "depth" if place in self.plot.references else role,
                    accuracies=self.ledger.rows.get(place, {}),
                    is_tuned=place in self.ledger.tuned,
                    state=end.state if end else "running",
                )
            )
        self.schedule.start_round(self.round_index, trials)
        self.round_index += 1

    def fill(self, workers: int) -> None:
        while len(self.running) < workers:
            job = self.schedule.next_job()
            if job is not None:
                self.running.append(job)
                self.ledger.jobs.append(job)
            elif self.round_index < len(self.plot.members) and self.schedule.may_start_round(
                self.round_index
            ):
                self._enter(self.plot.members[self.round_index])
            else:
                return
            self.tell()

    def finish_one(self, halts: bool) -> None:
        job = self.running.pop(self.chance.randrange(len(self.running)))
        if job.sweep:
            self.ledger.sweeps.append(job.trial)
            self.ledger.tuned.add(job.trial)
            self._write()
            self.schedule.finish_job(job)
            return
        fails = {(p, s): epoch for p, s, epoch in self.plot.fails}
        stops = [min(job.stop, fails.get((job.trial, s), 10**6) - 1) for s in job.seeds]
        failed = min(stops) < job.stop
        stop = min(stops)
        if halts and stop > job.start + 1 and self.chance.random() < 0.5:
            stop, failed = self.chance.randrange(job.start + 1, stop), False
        rows = [(s, e) for e in range(job.start + 1, stop + 1) for s in job.seeds]
        self._record(job.trial, rows)
        self._write()
        for seed, epoch in rows:
            told = self.plot.accuracy(job.trial, seed, epoch)
            self.schedule.report(job.trial, seed, epoch, told)
        if failed:
            self.schedule.fail_job(
                self.schedule.remaining_job(job), "diverged", f"seeds {job.seeds}"
            )
        else:
            self.schedule.finish_job(job)

    def _record(self, place: int, rows: Sequence[tuple[int, int]]) -> None:
        own = self.ledger.rows.setdefault(place, {})
        for seed, epoch in rows:
            self.ledger.trained.append((place, seed, epoch))
            told = own.setdefault(seed, [])
            assert len(told) == epoch - 1, "an epoch out of turn"
            told.append(self.plot.accuracy(place, seed, epoch))

    def tell(self) -> bool:
        decisions = self.schedule.decisions()
        for decision in decisions:
            assert decision.trial not in self.ledger.ends, "ended twice"
            self.ledger.ends[decision.trial] = decision
            self.watch(self.schedule, decision)
            self._write()
        return bool(decisions)

    def _write(self) -> None:
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after == 0:
                raise Killed


@st.composite
def plots(
    draw: st.DrawFn, asynchronous: bool = False, pruner: str = "halving", failing: bool = True
) -> Plot:
    """Searches of all kinds, some with many ties, failures and references."""
    rungs = tuple(sorted(draw(st.sets(st.integers(1, 9), min_size=1, max_size=3))))
    seeds = draw(st.integers(1, 4))
    rules = HalvingConfig(
        rungs=rungs,
        seeds=tuple(range(5, 5 + seeds)),
        initial_seed_count=draw(st.integers(1, seeds)),
        eta=draw(st.integers(2, 4)),
        asynchronous=asynchronous,
        together=draw(st.booleans()),
        tune_learning_rate=draw(st.booleans()),
    )
    round_sizes = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    places = st.integers(0, sum(round_sizes) - 1)
    both = draw(st.frozensets(st.integers(0, round_sizes[0] - 1), max_size=3))
    fail = st.tuples(places, st.sampled_from(rules.seeds), st.integers(1, rungs[-1]))
    return Plot(
        rules,
        round_sizes,
        salt=draw(st.integers(0, 10**6)),
        levels=draw(st.sampled_from([2, 5, 1000])),
        searched_references=frozenset(p for p in both if p % 2),
        references=frozenset(p for p in both if not p % 2),
        fails=tuple(draw(st.lists(fail, max_size=3))) if failing else (),
        pruner=pruner,
    )
