"""Workers that compute nothing, on a clock that jumps from one event to the next."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ParamSpec, TypeVar

from scalesearch.search.jobs import Failure, Job, Key, Outcome
from scalesearch.search.simulator.chance import uniform
from scalesearch.search.simulator.replay import Replay
from scalesearch.search.simulator.surfaces import Point, Surface, measured

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What goes wrong with jobs and workers; nothing by default.

    ``jitter``: by which part of it a job may take longer. ``slow``: the part of the workers that
    take ``slowness`` times as long. ``dying``: the chance that a job's worker dies in the middle of
    it, and comes back after ``restart`` seconds. ``diverging``: the chance that a candidate's run
    diverges, at whatever attempt. ``hanging``: the chance that a job never ends.
    """

    jitter: float = 0.1
    slow: float = 0.0
    slowness: float = 3.0
    dying: float = 0.0
    restart: float = 30.0
    diverging: float = 0.0
    hanging: float = 0.0


FAIR = Weather()


@dataclass(slots=True, eq=False)
class _Event:
    """An outcome that comes (``worker`` is free again), or a worker that comes back."""

    worker: int
    outcome: Outcome | None
    live: bool = True
    restart: float = 0.0


class VirtualCrew:
    """A crew of the ``Crew`` protocol over a surface.

    What becomes of a job hangs on its key and attempt, on ``seed`` and on its worker's speed alone,
    not on what was submitted before it. ``points``: the candidates by fingerprint. ``allowed``: the
    seconds after which its engine gives a job up; ``collect`` waits for nothing that comes later.
    """

    def __init__(
        self,
        surface: Surface,
        points: Mapping[str, Point],
        workers: int,
        *,
        seed: int = 0,
        weather: Weather = FAIR,
        allowed: float | None = None,
    ) -> None:
        self.surface, self.points, self.slots = surface, points, workers
        self.seed, self.weather, self.allowed = seed, weather, allowed
        self.clock = 0.0
        self.busy_seconds = 0.0
        self.lost = 0
        self._idle = list(range(workers))  # a heap: the first of the idle takes the next job
        self._waiting: deque[Job] = deque()
        self._events: list[tuple[float, int, _Event]] = []
        self._count = 0
        # Of all that was submitted, in that order.
        self._since: OrderedDict[Key, float] = OrderedDict()
        self._flying: dict[Key, tuple[float, _Event]] = {}
        self._speeds = [self._slowness(worker) for worker in range(workers)]

    def now(self) -> float:
        return self.clock

    def submit(self, job: Job) -> None:
        self._since[job.key] = self.clock
        self._waiting.append(job)
        self._start()

    def ask(
        self,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        return function(*args, **kwargs)

    def collect(self, timeout: float | None) -> list[Outcome]:
        """What comes at the next moment at which anything does.

        The clock jumps there even where that is after ``timeout`` (nothing could happen meanwhile),
        but not past the moment at which a job is to be given up.
        """
        outcomes: list[Outcome] = []
        while not outcomes:
            while self._events and not self._events[0][2].live:
                heapq.heappop(self._events)
            deadline = self._deadline()
            if not self._events or self._events[0][0] > deadline:
                self.clock = self.clock + (timeout or 0.0) if deadline == inf else deadline
                break
            self.clock = self._events[0][0]
            while self._events and self._events[0][0] <= self.clock:
                outcomes += self._happen(heapq.heappop(self._events)[2])
            self._start()
        return outcomes

    def give_up(self, job: Job) -> None:
        """Its worker is ended, and begun anew."""
        del self._since[job.key]
        if job.key not in self._flying:
            self._waiting = deque(other for other in self._waiting if other.key != job.key)
            return
        began, event = self._flying.pop(job.key)
        event.live = False
        self.busy_seconds += self.clock - began
        self._schedule(self.clock + self.weather.restart, _Event(event.worker, None))

    def close(self, *, at_once: bool) -> None:
        self._waiting.clear()

    # --- what happens --------------------------------------------------------------------------

    def _start(self) -> None:
        while self._waiting and self._idle:
            job, worker = self._waiting.popleft(), heapq.heappop(self._idle)
            seconds, event = self._fate(job, worker)
            self._flying[job.key] = (self.clock, event)
            if seconds is not None:
                self._schedule(self.clock + seconds, event)

    def _happen(self, event: _Event) -> list[Outcome]:
        if not event.live:
            return []
        if event.outcome is None:
            heapq.heappush(self._idle, event.worker)
            return []
        began, _ = self._flying.pop(event.outcome.key)
        del self._since[event.outcome.key]
        self.busy_seconds += self.clock - began
        if event.restart:
            self._schedule(self.clock + event.restart, _Event(event.worker, None))
        else:
            heapq.heappush(self._idle, event.worker)
        return [event.outcome]

    def _schedule(self, moment: float, event: _Event) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, event))

    def _deadline(self) -> float:
        """When the first of the jobs in flight is to be given up."""
        if self.allowed is None or not self._since:
            return inf
        return next(iter(self._since.values())) + self.allowed + TICK

    def _fate(self, job: Job, worker: int) -> tuple[float | None, _Event]:
        """How long a job takes (None: for ever), and what comes of it."""
        weather, names = self.weather, _names(job)
        longer = 1 + weather.jitter * uniform(self.seed, "jitter", *names)
        pace = self.surface.seconds(self.points[job.candidate]) * self._speeds[worker] * longer
        whole = pace * len(job.seeds) * max(1, job.stop - job.start)
        if uniform(self.seed, "hanging", *names) < weather.hanging:
            return None, _Event(worker, None)
        if uniform(self.seed, "dying", *names) < weather.dying:
            self.lost += 1
            failure = Failure(kind="worker_lost", reason=f"worker {worker} died")
            event = _Event(worker, Outcome(key=job.key, failure=failure), restart=weather.restart)
            return whole * uniform(self.seed, "death", *names), event
        if job.sweep:
            found = {"learning_rate": 0.1, "seconds": whole}
            return whole, _Event(worker, Outcome(key=job.key, tuning=found))
        rows, failure_or_none = self._trained(job, pace)
        told = Outcome(
            key=job.key, rows=tuple(rows), failure=failure_or_none, worker=f"worker {worker}"
        )
        took = sum(row["seconds"] for row in rows) if rows else pace
        return (took, _Event(worker, told))

    def _trained(self, job: Job, pace: float) -> tuple[list[dict[str, Any]], Failure | None]:
        """The rows of a job's runs, up to where one diverges."""
        point, rows, failure = self.points[job.candidate], [], None
        for run in job.seeds:
            ends = self._divergence(job.candidate, run)
            for epoch in range(job.start + 1, job.stop + 1):
                if ends is not None and epoch >= ends:
                    failure = Failure(kind="diverged", reason=f"the loss of epoch {epoch} is nan")
                    break
                rows.append(self._shown(point, run, epoch, pace))
        return rows, failure

    def _shown(self, point: Point, run: int, epoch: int, pace: float) -> dict[str, Any]:
        """An epoch as training tells it."""
        if isinstance(self.surface, Replay):
            return self.surface.row(point, run, epoch, self.seed)
        return _row(run, epoch, measured(self.surface, point, run, epoch, self.seed), pace)

    def _divergence(self, candidate: str, run: int) -> int | None:
        """The epoch at which a run diverges, if it does."""
        drawn = uniform(self.seed, "diverging", candidate, run)
        if drawn >= self.weather.diverging:
            return None
        return 1 + int(5 * drawn / self.weather.diverging)

    def _slowness(self, worker: int) -> float:
        slow = uniform(self.seed, "slow", worker) < self.weather.slow
        return self.weather.slowness if slow else 1.0


TICK = 1e-6
"""Seconds by which a job is past the time it is allowed when that is noticed."""


def _names(job: Job) -> tuple[str | int, ...]:
    return (job.candidate, *job.seeds, job.start, job.stop, job.attempt)


def _row(run: int, epoch: int, accuracy: float, seconds: float) -> dict[str, Any]:
    """An epoch as training tells it."""
    loss = 2.3 * (1 - accuracy)
    return {
        "seed": run,
        "epoch": epoch,
        "train_loss": loss,
        "loss": loss,
        "accuracy": accuracy,
        "top5": min(1.0, accuracy + 0.3),
        "learning_rate": 0.1,
        "micro_batch": 128,
        "seconds": seconds,
        "images_per_second": 1000.0,
        "peak_bytes": 0.0,
        "utilisation": 0.0,
        "device": "simulated",
        "commit": "",
    }
