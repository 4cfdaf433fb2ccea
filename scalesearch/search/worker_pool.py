"""The worker pool of the tuner, and a pool over any ``Executor``."""

import os
import pickle
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, ParamSpec, Protocol, TypeVar

from scalesearch.errors import ScaleSearchError, SearchError
from scalesearch.search.jobs import Failure, Job, JobKey, Outcome

Result = TypeVar("Result")
Params = ParamSpec("Params")


class WorkerPool(Protocol):
    """Runs jobs."""

    @property
    def slots(self) -> int:
        """Number of jobs that are worth running at a time; it may change during a search."""

    def submit(self, job: Job) -> None:
        """Submit a job. Raises SearchError if the pool takes no jobs any more."""

    def call(
        self,
        function: Callable[Params, Result],
        /,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> Result:
        """Call a function in a worker and return its result.

        Raises the function's exceptions, and SearchError if the worker is lost.
        """

    def collect(self, timeout: float | None) -> list[Outcome]:
        """Return the outcomes that arrived; wait ``timeout`` seconds for the first.

        An outcome may arrive late or twice.
        """

    def cancel(self, job: Job) -> None:
        """Wait no longer for a job, and end its worker if that is possible.

        Its loss is not reported, but its outcome may still arrive.
        """

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""

    def close(self, *, cancel_running: bool) -> None:
        """Take no more jobs, and wait for the running ones or end them.

        Outcomes that have arrived can still be collected.
        """


class WorkerLost(Exception):
    """Raised for a worker that has died; the message says which one, and how."""


def lost_outcome(key: JobKey, error: BaseException) -> Outcome:
    """Return the outcome of a job whose worker raised an exception."""
    is_worker_lost = isinstance(error, WorkerLost)
    message = str(error) if is_worker_lost else traceback.format_exception_only(error)[0]
    traceback_text = "".join(traceback.format_exception(error))
    failure = Failure(
        kind="worker_lost", reason=" ".join(message.split()), traceback=traceback_text
    )
    return Outcome(key=key, failure=failure)


def validate_outcome(key: JobKey, outcome: object) -> Outcome:
    """Return the outcome of a job, or a lost one if this is not an outcome of the job."""
    if not isinstance(outcome, Outcome):
        return lost_outcome(
            key, TypeError(f"need an Outcome of the worker, got {type(outcome).__name__}")
        )
    if outcome.key != key:
        return lost_outcome(
            key, ValueError(f"need the outcome of {key}, got that of {outcome.key}")
        )
    return outcome


def run_job_to_bytes(run_job: Callable[[Job], Outcome], job: Job) -> bytes:
    """Run a job inside a worker and return its outcome as bytes.

    So nothing that a job returns or raises can break the executor.
    """
    process = os.getpid()
    try:
        return pickle.dumps(validate_outcome(job.key, run_job(job)))
    except BaseException as error:
        return pickle.dumps(lost_outcome(job.key, error))
    finally:
        if os.getpid() != process:
            os._exit(1)  # the child of a job that forked must not answer for it


@dataclass(slots=True, eq=False)
class _SubmittedJob:
    job: Job
    is_cancelled: bool = False
    future: Future[Any] | None = field(default=None, repr=False)
    arrived: Event = field(default_factory=Event, repr=False)


class ExecutorPool:
    """A worker pool over any executor whose futures have ``add_done_callback``.

    ``slots``: a number or a function that returns it. An executor with a method ``kill(future)``
    can end a running job. ``owned``: closing the pool shuts the executor down.
    """

    def __init__(
        self,
        executor: Executor,
        slots: int | Callable[[], int],
        run_job: Callable[[Job], Outcome],
        *,
        owned: bool = False,
    ) -> None:
        self._executor = executor
        self._slots = slots
        self._run_job = partial(run_job_to_bytes, run_job)
        self._owned = owned
        self._kill: Callable[[Future[Any]], Any] | None = getattr(executor, "kill", None)
        self._submitted: dict[JobKey, _SubmittedJob] = {}
        self._arrivals: SimpleQueue[tuple[_SubmittedJob, Future[Any]]] = SimpleQueue()

    @property
    def slots(self) -> int:
        return self._slots if isinstance(self._slots, int) else self._slots()

    def now(self) -> float:
        return time.monotonic()

    def submit(self, job: Job) -> None:
        submission = _SubmittedJob(job)
        try:
            future: Future[Any] = self._executor.submit(self._run_job, job)
        except ScaleSearchError:
            raise
        except Exception as error:
            raise SearchError(
                f"executor: need one that takes {job.name}, got {type(error).__name__}: {error}; "
                "all recorded epochs are safe: run the same command again"
            ) from error
        submission.future = future
        self._submitted[job.key] = submission
        future.add_done_callback(partial(self._on_future_done, submission))

    def _on_future_done(self, submission: _SubmittedJob, future: Future[Any]) -> None:
        self._arrivals.put((submission, future))
        submission.arrived.set()

    def call(
        self,
        function: Callable[Params, Result],
        /,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> Result:
        future = self._executor.submit(function, *args, **kwargs)
        try:
            return future.result()
        except (WorkerLost, BrokenExecutor) as error:
            raise SearchError(
                f"workers: need one that can inspect images and device, got none: {error}; fix "
                "that and run the same command again"
            ) from error
        except KeyboardInterrupt:
            self._cancel_future(future)  # closing would wait for it
            raise

    def collect(self, timeout: float | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        deadline = None if timeout is None else self.now() + timeout
        while not outcomes:
            seconds_left = None if deadline is None else max(0.0, deadline - self.now())
            try:
                arrived = [self._arrivals.get(timeout=seconds_left)]
            except Empty:
                break
            while not self._arrivals.empty():  # no other thread takes from it
                arrived.append(self._arrivals.get())
            outcomes = [
                outcome for arrival in arrived if (outcome := self._receive(*arrival)) is not None
            ]
        return outcomes

    def _receive(self, submission: _SubmittedJob, future: Future[Any]) -> Outcome | None:
        key = submission.job.key
        if self._submitted.get(key) is submission:
            del self._submitted[key]
        outcome = _outcome_from_future(key, future)
        is_expected_loss = (
            submission.is_cancelled and outcome.failure and outcome.failure.kind == "worker_lost"
        )
        return None if is_expected_loss else outcome

    def cancel(self, job: Job) -> None:
        submission = self._submitted.pop(job.key, None)
        if submission is not None:
            submission.is_cancelled = True
            self._cancel_future(submission.future)

    def _cancel_future(self, future: Future[Any] | None) -> None:
        assert future is not None
        if self._kill:
            self._kill(future)
        else:
            future.cancel()

    def close(self, *, cancel_running: bool) -> None:
        submissions = list(self._submitted.values())
        if cancel_running:
            for submission in submissions:
                self._cancel_future(submission.future)
        else:
            for submission in submissions:
                submission.arrived.wait()  # a future is done before its callback has run
        if self._owned:
            self._executor.shutdown(wait=not cancel_running or self._kill is not None)


def _outcome_from_future(key: JobKey, future: Future[Any]) -> Outcome:
    if future.cancelled():
        return lost_outcome(key, WorkerLost("the executor cancelled the job"))
    if (error_raised := future.exception()) is not None:
        return lost_outcome(key, error_raised)
    try:
        result = future.result()
        return validate_outcome(key, pickle.loads(result) if isinstance(result, bytes) else result)
    except Exception as error:  # another process may fail to unpickle it
        return lost_outcome(key, error)
