"""Simulated workers on a virtual clock, which jumps from one event to the next."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ParamSpec, TypeVar

from scalesearch.search.jobs import Failure, Job, JobKey, Outcome
from scalesearch.simulation.recorded_runs import ReplaySurface
from scalesearch.simulation.surfaces import Surface, SurfacePoint, keyed_uniform, measured_accuracy

Result = TypeVar("Result")
Params = ParamSpec("Params")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFaults:
    """Faults of jobs and workers; by default only small differences in speed."""

    jitter: float = 0.1
    """Maximum fraction by which a job takes longer."""
    slow_fraction: float = 0.0
    """Fraction of the workers that are slow."""
    slow_factor: float = 3.0
    """Factor by which a slow worker takes longer."""
    death_probability: float = 0.0
    """Probability that the worker dies during a job."""
    restart_seconds: float = 30.0
    """Seconds until a dead worker is back."""
    divergence_probability: float = 0.0
    """Probability that a run diverges, at every attempt."""
    hang_probability: float = 0.0
    """Probability that a job never ends."""


DEFAULT_FAULTS = WorkerFaults()


@dataclass(slots=True, eq=False)
class _PoolEvent:
    """An outcome that arrives, or (without an outcome) a worker that is back."""

    worker: int
    outcome: Outcome | None
    is_live: bool = True
    restart_seconds: float = 0.0


class SimulatedPool:
    """A worker pool (protocol ``WorkerPool``) over a surface.

    The outcome of a job depends on its key and attempt, on ``seed`` and on the speed of its worker,
    not on earlier jobs. ``points`` are the candidates by fingerprint. ``job_timeout`` is the number
    of seconds after which the tuner cancels a job; ``collect`` does not wait longer than that.
    """

    def __init__(
        self,
        surface: Surface,
        points: Mapping[str, SurfacePoint],
        workers: int,
        *,
        seed: int = 0,
        faults: WorkerFaults = DEFAULT_FAULTS,
        job_timeout: float | None = None,
    ) -> None:
        self.surface, self.points, self.slots = surface, points, workers
        self.seed, self.faults, self.job_timeout = seed, faults, job_timeout
        self.clock = 0.0
        self.busy_seconds = 0.0
        self.lost_jobs = 0
        self._idle = list(
            range(workers)
        )  # a heap: the idle worker with the lowest number takes the next job
        self._queue: deque[Job] = deque()
        self._events: list[tuple[float, int, _PoolEvent]] = []
        self._event_count = 0
        # Start of each submitted job, in the order of submission.
        self._submitted_at: OrderedDict[JobKey, float] = OrderedDict()
        self._running: dict[JobKey, tuple[float, _PoolEvent]] = {}
        self._slow_factors = [self._slow_factor(worker) for worker in range(workers)]

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
        self._push_event(self.clock + self.faults.restart_seconds, _PoolEvent(event.worker, None))

    def close(self, *, cancel_running: bool) -> None:
        self._queue.clear()

    def _start_jobs(self) -> None:
        while self._queue and self._idle:
            job, worker = self._queue.popleft(), heapq.heappop(self._idle)
            seconds, event = self._simulate_job(job, worker)
            self._running[job.key] = (self.clock, event)
            if seconds is not None:
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
        if event.restart_seconds:
            self._push_event(self.clock + event.restart_seconds, _PoolEvent(event.worker, None))
        else:
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

    def _simulate_job(self, job: Job, worker: int) -> tuple[float | None, _PoolEvent]:
        """Simulate a job: its seconds (None if it hangs) and its event."""
        faults, keys = self.faults, _random_keys(job)
        jitter_factor = 1 + faults.jitter * keyed_uniform(self.seed, "jitter", *keys)
        epoch_seconds = (
            self.surface.seconds(self.points[job.candidate])
            * self._slow_factors[worker]
            * jitter_factor
        )
        job_seconds = epoch_seconds * len(job.seeds) * max(1, job.stop - job.start)
        if keyed_uniform(self.seed, "hanging", *keys) < faults.hang_probability:
            return None, _PoolEvent(worker, None)
        if keyed_uniform(self.seed, "dying", *keys) < faults.death_probability:
            self.lost_jobs += 1
            failure = Failure(kind="worker_lost", reason=f"worker {worker} died")
            event = _PoolEvent(
                worker,
                Outcome(key=job.key, failure=failure),
                restart_seconds=faults.restart_seconds,
            )
            return job_seconds * keyed_uniform(self.seed, "death", *keys), event
        if job.sweep:
            tuning = {"learning_rate": 0.1, "seconds": job_seconds}
            return job_seconds, _PoolEvent(worker, Outcome(key=job.key, tuning=tuning))
        rows, divergence = self._simulate_rows(job, epoch_seconds)
        outcome = Outcome(
            key=job.key, rows=tuple(rows), failure=divergence, worker=f"worker {worker}"
        )
        trained_seconds = sum(row["seconds"] for row in rows) if rows else epoch_seconds
        return trained_seconds, _PoolEvent(worker, outcome)

    def _simulate_rows(
        self, job: Job, epoch_seconds: float
    ) -> tuple[list[dict[str, Any]], Failure | None]:
        """Simulate the rows of a job's runs, up to the epoch at which one diverges."""
        point, rows, failure = self.points[job.candidate], [], None
        for seed in job.seeds:
            divergence_epoch = self._divergence_epoch(job.candidate, seed)
            for epoch in range(job.start + 1, job.stop + 1):
                if divergence_epoch is not None and epoch >= divergence_epoch:
                    failure = Failure(kind="diverged", reason=f"the loss of epoch {epoch} is nan")
                    break
                rows.append(self._epoch_row(point, seed, epoch, epoch_seconds))
        return rows, failure

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

    def _divergence_epoch(self, candidate: str, seed: int) -> int | None:
        """Draw the epoch at which a run diverges, or None."""
        drawn = keyed_uniform(self.seed, "diverging", candidate, seed)
        if drawn >= self.faults.divergence_probability:
            return None
        return 1 + int(5 * drawn / self.faults.divergence_probability)

    def _slow_factor(self, worker: int) -> float:
        is_slow = keyed_uniform(self.seed, "slow", worker) < self.faults.slow_fraction
        return self.faults.slow_factor if is_slow else 1.0


TICK = 1e-6
"""Seconds after the timeout of a job at which it is noticed."""


def _random_keys(job: Job) -> tuple[str | int, ...]:
    return (job.candidate, *job.seeds, job.start, job.stop, job.attempt)


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
