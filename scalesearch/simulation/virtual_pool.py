"""Simulated workers on a virtual clock, which jumps from one event to the next."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ParamSpec, TypeVar

from scalesearch.search.jobs import Job, JobKey, Outcome
from scalesearch.simulation.recorded_runs import ReplaySurface
from scalesearch.simulation.surfaces import Surface, SurfacePoint, keyed_uniform, measured_accuracy

Result = TypeVar("Result")
Params = ParamSpec("Params")


RESTART_SECONDS = 30.0
"""Seconds until the worker of a cancelled job is back."""
JITTER = 0.1
"""Maximum fraction by which a job takes longer."""
TICK = 1e-6
"""Seconds after the timeout of a job at which it is noticed."""


@dataclass(slots=True, eq=False)
class _PoolEvent:
    """An outcome that arrives, or (without an outcome) a worker that is back."""

    worker: int
    outcome: Outcome | None
    is_live: bool = True


class SimulatedPool:
    """A worker pool (protocol ``WorkerPool``) over a surface.

    The outcome of a job depends on its key and attempt and on ``seed``, not on earlier jobs.
    ``points`` are the candidates by fingerprint. ``job_timeout`` is the number of seconds after
    which the tuner cancels a job; ``collect`` does not wait longer than that. A subclass can give
    jobs other outcomes by ``simulate_job``.
    """

    def __init__(
        self,
        surface: Surface,
        points: Mapping[str, SurfacePoint],
        workers: int,
        *,
        seed: int = 0,
        job_timeout: float | None = None,
    ) -> None:
        self.surface, self.points, self.slots = surface, points, workers
        self.seed, self.job_timeout = seed, job_timeout
        self.clock = 0.0
        self.busy_seconds = 0.0
        # A heap: the idle worker with the lowest number takes the next job.
        self._idle = list(range(workers))
        self._queue: deque[Job] = deque()
        self._events: list[tuple[float, int, _PoolEvent]] = []
        self._event_count = 0
        # Start of each submitted job, in the order of submission.
        self._submitted_at: OrderedDict[JobKey, float] = OrderedDict()
        self._running: dict[JobKey, tuple[float, _PoolEvent]] = {}

    def now(self) -> float:
        return self.clock

    def submit(self, job: Job) -> None:
        self._submitted_at[job.key] = self.clock
        self._queue.append(job)
        self._start_jobs()

    def call(
        self,
        function: Callable[Params, Result],
        /,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> Result:
        return function(*args, **kwargs)

    def collect(self, timeout: float | None) -> list[Outcome]:
        """Advance the clock to the next outcomes and return them.

        The clock may jump further than ``timeout`` (nothing could happen before), but not past the
        moment at which a job must be cancelled.
        """
        outcomes: list[Outcome] = []
        while not outcomes:
            while self._events and not self._events[0][2].is_live:
                heapq.heappop(self._events)
            deadline = self._deadline()
            if not self._events or self._events[0][0] > deadline:
                self.clock = self.clock + (timeout or 0.0) if deadline == inf else deadline
                break
            self.clock = self._events[0][0]
            while self._events and self._events[0][0] <= self.clock:
                outcomes += self._apply_event(heapq.heappop(self._events)[2])
            self._start_jobs()
        return outcomes

    def cancel(self, job: Job) -> None:
        """Cancel a job; its worker restarts."""
        del self._submitted_at[job.key]
        if job.key not in self._running:
            self._queue = deque(other for other in self._queue if other.key != job.key)
            return
        started, event = self._running.pop(job.key)
        event.is_live = False
        self.busy_seconds += self.clock - started
        self._push_event(self.clock + RESTART_SECONDS, _PoolEvent(event.worker, None))

    def close(self, *, cancel_running: bool) -> None:
        self._queue.clear()

    def _start_jobs(self) -> None:
        while self._queue and self._idle:
            job, worker = self._queue.popleft(), heapq.heappop(self._idle)
            seconds, outcome = self.simulate_job(job, worker)
            event = _PoolEvent(worker, outcome)
            self._running[job.key] = (self.clock, event)
            self._push_event(self.clock + seconds, event)

    def _apply_event(self, event: _PoolEvent) -> list[Outcome]:
        if not event.is_live:
            return []
        if event.outcome is None:
            heapq.heappush(self._idle, event.worker)
            return []
        started, _ = self._running.pop(event.outcome.key)
        del self._submitted_at[event.outcome.key]
        self.busy_seconds += self.clock - started
        heapq.heappush(self._idle, event.worker)
        return [event.outcome]

    def _push_event(self, moment: float, event: _PoolEvent) -> None:
        self._event_count += 1
        heapq.heappush(self._events, (moment, self._event_count, event))

    def _deadline(self) -> float:
        """Compute when the oldest job must be cancelled."""
        if self.job_timeout is None or not self._submitted_at:
            return inf
        return next(iter(self._submitted_at.values())) + self.job_timeout + TICK

    def simulate_job(self, job: Job, worker: int) -> tuple[float, Outcome]:
        """Simulate a job: its seconds on a worker, and its outcome."""
        point = self.points[job.candidate]
        jitter = JITTER * keyed_uniform(
            self.seed, "jitter", job.candidate, *job.seeds, job.start, job.stop, job.attempt
        )
        epoch_seconds = self.surface.seconds(point) * (1 + jitter)
        if job.sweep:
            seconds = epoch_seconds * len(job.seeds) * max(1, job.stop - job.start)
            tuning = {"learning_rate": 0.1, "seconds": seconds}
            return seconds, Outcome(key=job.key, tuning=tuning)
        rows = tuple(
            self._epoch_row(point, seed, epoch, epoch_seconds)
            for seed in job.seeds
            for epoch in range(job.start + 1, job.stop + 1)
        )
        seconds = sum(row["seconds"] for row in rows) if rows else epoch_seconds
        return seconds, Outcome(key=job.key, rows=rows, worker=f"worker {worker}")

    def _epoch_row(
        self, point: SurfacePoint, seed: int, epoch: int, epoch_seconds: float
    ) -> dict[str, Any]:
        """Return the row of an epoch, replayed or simulated."""
        if isinstance(self.surface, ReplaySurface):
            return self.surface.epoch_row(point, seed, epoch, self.seed)
        return _simulated_row(
            seed,
            epoch,
            measured_accuracy(self.surface, point, seed, epoch, self.seed),
            epoch_seconds,
        )


def _simulated_row(seed: int, epoch: int, accuracy: float, seconds: float) -> dict[str, Any]:
    """Make the row of an epoch as training returns it."""
    loss = 2.3 * (1 - accuracy)
    return {
        "seed": seed,
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
