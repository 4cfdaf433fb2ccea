"""The loop of a search: what may be trained goes to the workers, what comes of it into the study.

The engine is the study's only writer. An outcome is on record before anything follows from it;
whatever moment the engine dies at, another one that is given the same study goes on from there.
"""

from bisect import insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, Tolerance
from scalesearch.search import study as ledger
from scalesearch.search.crew import Crew
from scalesearch.search.enough import Enough
from scalesearch.search.jobs import Failure, Job, Key, Outcome, named
from scalesearch.search.knowledge import knowledge
from scalesearch.search.notebook import Notebook
from scalesearch.search.plan import Planned
from scalesearch.search.proposals import Known
from scalesearch.search.runners import Task, Verdict
from scalesearch.search.schedule import Schedule
from scalesearch.search.source import Source
from scalesearch.search.study import Entry

FATAL = ("data", "bug")
"""Failures that any other candidate would meet as well."""
SECONDS_BETWEEN_LOOKS = 1.0


class SearchFailed(SearchError):
    """A search that was stopped by what no other candidate would have been spared."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A job that is with a worker, and since when by the crew's clock."""

    job: Job
    task: Task
    since: float


class Engine:
    """One driver's work on a study.

    ``assign``: the job of a task. ``notebook``: where projections are written, if anywhere.
    ``forget``: called for a candidate that has ended. ``halt``: called once, when nothing more is
    to be begun and what is under way is to come to a checkpoint.
    """

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        schedule: Schedule,
        study: optuna.Study,
        crew: Crew,
        assign: Callable[[Entry, Task], Job],
        notebook: Notebook | None = None,
        forget: Callable[[Entry], None] = lambda entry: None,
        halt: Callable[[], None] = lambda: None,
    ) -> None:
        self.experiment = experiment
        self.source = source
        self.schedule = schedule
        self.study = study
        self.crew = crew
        self.assign = assign
        self.notebook = notebook
        self.forget = forget
        self.tell_to_halt = halt
        self.entries: dict[int, Entry] = {}
        self.in_order: list[Entry] = []  # of their numbers
        self.pending: OrderedDict[int, tuple[Planned, dict[str, object] | None]] = OrderedDict()
        self.seen: set[str] = set()
        self.flights: dict[Key, Flight] = {}
        self.cohort = 0
        self.exhausted = False
        self.halted = False
        self.fatal: tuple[Failure, Job] | None = None
        self.repeated = 0
        self.resumed = 0
        self.ended: list[Entry] = []
        self.failed: Counter[str] = Counter()
        self.enough = Enough(experiment, crew.now())

    # --- from the outside ----------------------------------------------------------------------

    def run(self) -> Iterator[None]:
        """Bring the search to its end; pauses after whatever has happened, and once a second."""
        self._resume()
        self.enough.look(self.in_order, self.schedule.rules.last)
        while True:
            self._tell()
            waiting = not self.stopping and self._fill()
            if self.stopping:
                self.halt()
            if not self.flights and not waiting:
                if self.stopping or not self._wind_up():
                    break
                continue
            self._listen()
            yield
        if self.notebook:
            self.notebook.projection(self.in_order, always=True)
        if self.fatal:
            raise SearchFailed(self._told(*self.fatal))

    def halt(self) -> None:
        """Begin nothing more; what is under way comes to a checkpoint."""
        if not self.halted:
            self.halted = True
            self.tell_to_halt()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is begun."""
        return self.halted or self.fatal is not None or bool(self.enough.reason)

    # --- candidates ----------------------------------------------------------------------------

    def _resume(self) -> None:
        """Be where the study is."""
        for entry in ledger.contents(self.study):
            place = self.source.place(entry.cells)
            if place is not None:
                self._keep(place, entry)
                self.seen.add(entry.candidate)
                self.enough.count(entry.rows, entry.tuning)
                if entry.state == "failed":
                    self.failed[entry.kind] += 1
                if entry.state == "running":
                    self._report_again(entry)
                else:
                    self.forget(entry)  # what a driver that died between the two has left
        self.resumed = self.enough.epochs
        last = max((self.source.cohort(place) for place in self.entries), default=-1)
        # A cohort of which something was opened again is decided on before what came after it.
        while self.cohort <= last and self._more():
            self._tell()

    def _more(self) -> bool:
        """Let the next candidates in, if it is their time."""
        before = self.cohort - 1
        if self.exhausted or not (
            self.experiment.search.asynchronous or before < 0 or self.schedule.is_over(before)
        ):
            return False
        self._enter_cohort()
        return not self.exhausted

    def _enter_cohort(self) -> None:
        members = self.source.members(self.cohort)
        entered = [place for place in members if self._enter(place)]
        if not entered:
            self.exhausted = True
            return
        self.schedule.begin(self.cohort)
        self.cohort += 1

    def _enter(self, place: int) -> bool:
        """Enter one candidate in the schedule; the study learns of it with its first job."""
        entry = self.entries.get(place)
        if entry is None:
            if place < len(self.source.planned):
                self.pending[place] = (self.source.planned[place], None)
            else:
                known = self._knowledge() if self.source.learns else []
                proposed = self.source.proposed(place, known, self.seen)
                if proposed is None:
                    return False
                self.pending[place] = proposed
            planned = self.pending[place][0]
            self.seen.add(planned.candidate.fingerprint)
            roles = planned.role.split("+")
        else:
            roles = str(entry.facts["role"]).split("+")
        self.schedule.enter(
            place,
            self.cohort,
            searched="searched" in roles,
            reference=roles != ["searched"],
            past={} if entry is None else past(entry),
            tuned=entry is not None and entry.tuning is not None,
            state="running" if entry is None else entry.state,
        )
        return True

    def _knowledge(self) -> list[Known]:
        pending = {place: planned.candidate for place, (planned, _) in self.pending.items()}
        cost = self.experiment.search.against
        return knowledge(self.entries, pending, set(self.schedule.rules.rungs), cost)

    def _entry(self, place: int) -> Entry:
        """The study's entry of a candidate. Earlier ones of its cohort are entered before it, so
        that numbers do not depend on who is trained first; and all of what a sampler has learned
        to propose, which it would not propose again when it knows how one of them ended."""
        if place not in self.entries:
            while self.pending and (next(iter(self.pending)) <= place or self.source.learns):
                earlier, (planned, log) = self.pending.popitem(last=False)
                budget = self.experiment.budget
                self._keep(earlier, ledger.enter(self.study, planned, log, budget=budget))
        return self.entries[place]

    def _keep(self, place: int, entry: Entry) -> None:
        self.entries[place] = entry
        insort(self.in_order, entry, key=lambda known: known.number)

    # --- jobs ----------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Give every worker something to do; whether there may be more than they can do now."""
        while not self.stopping:
            if len(self.flights) >= self.crew.slots:
                # Where all workers are gone, others may come.
                return bool(self.flights) or not self.schedule.idle or self._more()
            task = self.schedule.pop()
            if task is not None:
                self._submit(task, 0)
            elif not self._more():
                break
            self._tell()
        return False

    def _wind_up(self) -> bool:
        """Nothing is under way and nothing may be trained: whether that leads to anything more."""
        self.schedule.finish()
        return self._tell()

    def _submit(self, task: Task, attempt: int) -> None:
        job = replace(self.assign(self._entry(task.place), task), attempt=attempt)
        self.flights[job.key] = Flight(job, task, self.crew.now())
        self.crew.submit(job)

    def _listen(self) -> None:
        """Wait for outcomes, and give up what takes too long."""
        for outcome in self.crew.collect(SECONDS_BETWEEN_LOOKS):
            self._take(outcome)
        allowed = self.experiment.search.failures.job_seconds
        if allowed is None:
            return
        late = [f for f in self.flights.values() if self.crew.now() - f.since > allowed]
        for flight in late:
            self.crew.give_up(flight.job)
            reason = f"{flight.job.name}: took longer than {allowed:g} s (failures.job_seconds)"
            failure = Failure(kind="timeout", reason=reason)
            self._take(Outcome(key=flight.job.key, failure=failure))

    def _take(self, outcome: Outcome) -> None:
        """Write an outcome down, and then let it count."""
        flight = self.flights.pop(outcome.key, None)
        if flight is None:
            self.repeated += 1  # of a job that another attempt has brought to its end
            return
        task, entry = flight.task, self.entries[flight.task.place]
        self._record(task.place, entry, outcome)
        if self.notebook:
            self.notebook.outcome(flight.job, outcome)
        failure = outcome.failure
        if failure is None and not outcome.rows and outcome.tuning is None:
            # Or a worker that never trains anything would be asked for ever.
            failure = Failure(kind="worker_lost", reason=f"{flight.job.name}: nothing came of it")
        if failure is not None:
            self._fail(flight, failure)
        else:
            self.schedule.close(task)

    def _record(self, place: int, entry: Entry, outcome: Outcome) -> None:
        new: dict[tuple[int, int], dict[str, Any]] = {}
        for row in outcome.rows:
            if (row["seed"], row["epoch"]) not in entry.held:
                new.setdefault((row["seed"], row["epoch"]), row)
        if new:
            name = named(outcome.key).partition(" ")[2]
            ledger.record(self.study, entry, list(new.values()), job=name)
        if outcome.tuning is not None and entry.tuning is None:
            ledger.set_tuning(self.study, entry, outcome.tuning)
            self.enough.count((), outcome.tuning)
        self.enough.count(new.values())
        for (seed, epoch), row in new.items():
            self.schedule.reach(place, seed, epoch, row["accuracy"])
        self._report(entry, {epoch for _, epoch in new})

    def _report(self, entry: Entry, epochs: set[int]) -> None:
        """Tell the mean of an epoch when every seed that was begun has reached it."""
        begun = {seed for seed, _ in entry.held}
        accuracies = {(row["seed"], row["epoch"]): row["accuracy"] for row in entry.rows}
        for epoch in sorted(epochs):
            found = [accuracies.get((seed, epoch)) for seed in sorted(begun)]
            told = [value for value in found if value is not None]
            if len(told) == len(begun):
                ledger.report(self.study, entry, epoch, sum(told) / len(told))

    def _report_again(self, entry: Entry) -> None:
        """Tell what is on record and may not have been told."""
        for epoch, mean in ledger.means(entry.rows).items():
            ledger.report(self.study, entry, epoch, mean)

    def _fail(self, flight: Flight, failure: Failure) -> None:
        """Try again, give the candidate up, or stop: by the class of the failure."""
        if failure.kind in FATAL:
            self.fatal = self.fatal or (failure, flight.job)
            return
        tolerance = self._tolerance(failure.kind)
        if flight.job.attempt < tolerance.retries:
            if not self.stopping:
                self._submit(self.schedule.rest(flight.task), flight.job.attempt + 1)
            return
        self.schedule.fail(flight.task, failure.kind, failure.reason)

    def _tolerance(self, kind: str) -> Tolerance:
        found: Tolerance = getattr(self.experiment.search.failures, kind)
        return found

    # --- ends ----------------------------------------------------------------------------------

    def _tell(self) -> bool:
        """Write down who has ended; whether anybody has."""
        verdicts = self.schedule.verdicts()
        for verdict in verdicts:
            self._end(verdict)
        if verdicts and not self.enough.reason:
            self.enough.look(self.in_order, self.schedule.rules.last)
        self.enough.check(self.crew.now())
        if verdicts and self.notebook:
            self.notebook.projection(self.in_order)
        return bool(verdicts)

    def _end(self, verdict: Verdict) -> None:
        entry = self._entry(verdict.place)
        if verdict.state == "failed":
            ledger.tell_failed(self.study, entry, verdict.kind, verdict.reason)
            self._count_failed(verdict.kind)
        elif verdict.state == "stopped":
            self._mean(entry)
            ledger.tell_stopped(self.study, entry, verdict.reason)
        else:
            value = self._mean(entry)
            cost = self.experiment.search.against
            values = [value, *([float(entry.facts[cost])] if cost else [])]
            ledger.tell_complete(self.study, entry, values, reason=verdict.reason)
        self.ended.append(entry)
        self.forget(entry)

    def _mean(self, entry: Entry) -> float:
        """Mean over all seeds at the last epoch that all of them have reached, told as such."""
        seeds = sorted({seed for seed, _ in entry.held})
        last = min(max(row["epoch"] for row in entry.recorded(seed)) for seed in seeds)
        values = [entry.recorded(seed)[last - 1]["accuracy"] for seed in seeds]
        mean = float(sum(values) / len(values))
        ledger.report(self.study, entry, last, mean)
        return mean

    def _count_failed(self, kind: str) -> None:
        """Stop where a class of failures has taken more candidates than it may."""
        self.failed[kind] += 1
        most = self._tolerance(kind).candidates
        if most is not None and self.failed[kind] > most:
            self.enough.stop(
                f"{self.failed[kind]} candidates failed as {kind}, and {most} may "
                f"(search.failures.{kind}.candidates): look into it, then `scalesearch retry`"
            )

    def _told(self, failure: Failure, job: Job) -> str:
        """What stopped the search, and what to do about it."""
        where = f"; all of it is in {self.notebook.traceback(job)}" if self.notebook else ""
        if failure.kind == "bug":
            what = f"{job.name}: a bug of ours or of the baseline's code: {failure.reason}{where}"
        else:
            what = f"{job.name}: {failure.reason}"
        return f"{what}; nothing recorded is lost: mend it, and the same command goes on"


def past(entry: Entry) -> dict[int, Sequence[float]]:
    """Each seed's accuracies from its first epoch on."""
    seeds = sorted({seed for seed, _ in entry.held})
    return {seed: [float(row["accuracy"]) for row in entry.recorded(seed)] for seed in seeds}
