"""Fake searches: successive halving with workers that finish jobs in any order.

Nothing is trained. Records are kept after a kill, and another run continues from them.
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
class FakeSearch:
    """The trials of a search and their accuracies.

    ``searched_references`` and ``references``: indices of trials. ``fails``: (trial, seed, epoch),
    the epoch that the seed never reaches.
    """

    config: HalvingConfig
    round_sizes: tuple[int, ...]
    salt: int = 0
    levels: int = 1000
    searched_references: frozenset[int] = frozenset()
    references: frozenset[int] = frozenset()
    fails: tuple[tuple[int, int, int], ...] = ()
    pruner: str = "halving"

    @property
    def members(self) -> list[list[int]]:
        if self.config.asynchronous:
            return [[number] for number in range(sum(self.round_sizes))]
        starts = [sum(self.round_sizes[:index]) for index in range(len(self.round_sizes))]
        return [
            list(range(start, start + size))
            for start, size in zip(starts, self.round_sizes, strict=True)
        ]

    def accuracy(self, number: int, seed: int, epoch: int) -> float:
        """Return a random accuracy; few levels give many ties."""
        generator = Random(f"{self.salt} {number} {seed} {epoch}")
        return generator.randrange(self.levels) / self.levels

    def schedule(self) -> SuccessiveHalving:
        name, config = self.pruner, self.config
        other = OptunaPruner(name, config.rungs, config.eta) if name != "halving" else None
        return SuccessiveHalving(config, other)


@dataclass
class FakeRecords:
    """Records kept after a kill; ``trained`` lists every epoch each time it is trained."""

    rows: dict[int, dict[int, list[float]]] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    tuned: set[int] = field(default_factory=set)
    trained: list[tuple[int, int, int]] = field(default_factory=list)
    sweeps: list[int] = field(default_factory=list)
    jobs: list[JobSpec] = field(default_factory=list)

    def epochs(self) -> dict[tuple[int, int], int]:
        return {
            (number, seed): len(accuracies)
            for number, seeds in self.rows.items()
            for seed, accuracies in seeds.items()
        }


def run_search(
    search: FakeSearch,
    records: FakeRecords | None = None,
    *,
    workers: int = 3,
    order: int = 0,
    kill_after: int | None = None,
    halts: bool = False,
    on_decision: Callable[[SuccessiveHalving, Decision], None] = lambda schedule, decision: None,
) -> FakeRecords:
    """Run a search to its end.

    ``order``: seed of the order in which jobs finish. ``kill_after``: number of writes before a
    kill. ``halts``: whether jobs may stop early, as after SIGINT.
    """
    run = _SearchRun(search, records or FakeRecords(), Random(order), kill_after, on_decision)
    while True:
        run.record_decisions()
        run.fill(workers)
        if run.running:
            run.finish_one(halts)
            continue
        run.schedule.stop_waiting_trials()
        if not run.record_decisions():
            return run.records


def run_search_with_kills(search: FakeSearch, random: Random, **options: object) -> FakeRecords:
    """Run a search to its end with repeated kills at random writes."""
    records = FakeRecords()
    for _ in range(500):
        try:
            return run_search(
                search,
                records,
                order=random.randrange(10**6),
                kill_after=random.randrange(1, 12),
                **options,
            )
        except Killed:
            continue
    raise AssertionError("does not end")


@dataclass
class _SearchRun:
    search: FakeSearch
    records: FakeRecords
    random: Random
    kill_after: int | None
    on_decision: Callable[[SuccessiveHalving, Decision], None]
    running: list[JobSpec] = field(default_factory=list)
    round_index: int = 0

    def __post_init__(self) -> None:
        self.schedule = self.search.schedule()
        last_recorded = max(
            (*self.records.rows, *self.records.decisions, *self.records.tuned), default=-1
        )
        for members in self.search.members:
            if last_recorded >= members[0]:
                self._enter(members)

    def _enter(self, members: Sequence[int]) -> None:
        trials = []
        for number in members:
            decision = self.records.decisions.get(number)
            is_searched_reference = number in self.search.searched_references
            role = "depth+searched" if is_searched_reference else "searched"
            trials.append(
                HalvingTrial(
                    number,
                    "depth" if number in self.search.references else role,
                    accuracies=self.records.rows.get(number, {}),
                    is_tuned=number in self.records.tuned,
                    state=decision.state if decision else "running",
                )
            )
        self.schedule.start_round(self.round_index, trials)
        self.round_index += 1

    def fill(self, workers: int) -> None:
        while len(self.running) < workers:
            job = self.schedule.next_job()
            if job is not None:
                self.running.append(job)
                self.records.jobs.append(job)
            elif self.round_index < len(self.search.members) and self.schedule.may_start_round(
                self.round_index
            ):
                self._enter(self.search.members[self.round_index])
            else:
                return
            self.record_decisions()

    def finish_one(self, halts: bool) -> None:
        job = self.running.pop(self.random.randrange(len(self.running)))
        if job.sweep:
            self.records.sweeps.append(job.trial)
            self.records.tuned.add(job.trial)
            self._write()
            self.schedule.finish_job(job)
            return
        fails = {(number, seed): epoch for number, seed, epoch in self.search.fails}
        stops = [min(job.stop, fails.get((job.trial, seed), 10**6) - 1) for seed in job.seeds]
        failed = min(stops) < job.stop
        stop = min(stops)
        if halts and stop > job.start + 1 and self.random.random() < 0.5:
            stop, failed = self.random.randrange(job.start + 1, stop), False
        rows = [(seed, epoch) for epoch in range(job.start + 1, stop + 1) for seed in job.seeds]
        self._record(job.trial, rows)
        self._write()
        for seed, epoch in rows:
            accuracy = self.search.accuracy(job.trial, seed, epoch)
            self.schedule.report(job.trial, seed, epoch, accuracy)
        if failed:
            self.schedule.fail_job(
                self.schedule.remaining_job(job), "diverged", f"seeds {job.seeds}"
            )
        else:
            self.schedule.finish_job(job)

    def _record(self, number: int, rows: Sequence[tuple[int, int]]) -> None:
        trial_accuracies = self.records.rows.setdefault(number, {})
        for seed, epoch in rows:
            self.records.trained.append((number, seed, epoch))
            seed_accuracies = trial_accuracies.setdefault(seed, [])
            assert len(seed_accuracies) == epoch - 1, "an epoch out of turn"
            seed_accuracies.append(self.search.accuracy(number, seed, epoch))

    def record_decisions(self) -> bool:
        decisions = self.schedule.decisions()
        for decision in decisions:
            assert decision.trial not in self.records.decisions, "ended twice"
            self.records.decisions[decision.trial] = decision
            self.on_decision(self.schedule, decision)
            self._write()
        return bool(decisions)

    def _write(self) -> None:
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after == 0:
                raise Killed


@st.composite
def fake_searches(
    draw: st.DrawFn, asynchronous: bool = False, pruner: str = "halving", failing: bool = True
) -> FakeSearch:
    """Searches of all kinds, some with many ties, failures and references."""
    rungs = tuple(sorted(draw(st.sets(st.integers(1, 9), min_size=1, max_size=3))))
    seeds = draw(st.integers(1, 4))
    config = HalvingConfig(
        rungs=rungs,
        seeds=tuple(range(5, 5 + seeds)),
        initial_seed_count=draw(st.integers(1, seeds)),
        eta=draw(st.integers(2, 4)),
        asynchronous=asynchronous,
        together=draw(st.booleans()),
        tune_learning_rate=draw(st.booleans()),
    )
    round_sizes = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    numbers = st.integers(0, sum(round_sizes) - 1)
    reference_numbers = draw(st.frozensets(st.integers(0, round_sizes[0] - 1), max_size=3))
    fail = st.tuples(numbers, st.sampled_from(config.seeds), st.integers(1, rungs[-1]))
    return FakeSearch(
        config,
        round_sizes,
        salt=draw(st.integers(0, 10**6)),
        levels=draw(st.sampled_from([2, 5, 1000])),
        searched_references=frozenset(number for number in reference_numbers if number % 2),
        references=frozenset(number for number in reference_numbers if not number % 2),
        fails=tuple(draw(st.lists(fail, max_size=3))) if failing else (),
        pruner=pruner,
    )
