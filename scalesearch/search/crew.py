"""What the engine sees of workers, and any ``concurrent.futures.Executor`` as such a crew."""

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
from scalesearch.search.jobs import Failure, Job, Key, Outcome

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


class Crew(Protocol):
    """Whoever carries out jobs.

    ``slots``: how many jobs are worth having in flight; it may change while the search runs.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, job: Job) -> None:
        """Have a job done. Raises SearchError where nobody takes jobs any more."""

    def ask(
        self,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """What a function gives when a worker calls it; raises what it raises, and SearchError for
        a worker that is lost over it."""

    def collect(self, timeout: float | None) -> list[Outcome]:
        """What has come; waits for the first, at most ``timeout`` seconds.

        An outcome may come late, or again.
        """

    def give_up(self, job: Job) -> None:
        """Wait no longer for a job, and end its worker where that can be done.

        That it was lost is not told any more. What it did may still come.
        """

    def now(self) -> float:
        """Seconds by a clock that never goes back."""

    def close(self, *, at_once: bool) -> None:
        """Take no more jobs: wait for those in flight, or end them. What came can be collected."""


class WorkerLost(Exception):
    """A worker that is no more; the message says which, and what is known of its end."""


def lost(key: Key, error: BaseException) -> Outcome:
    """The outcome of a job that ended with an exception, which ``advance`` never lets out."""
    known = isinstance(error, WorkerLost)
    said = str(error) if known else traceback.format_exception_only(error)[0]
    traced = "".join(traceback.format_exception(error))
    failure = Failure(kind="worker_lost", reason=" ".join(said.split()), traceback=traced)
    return Outcome(key=key, failure=failure)


def checked(key: Key, outcome: object) -> Outcome:
    """The outcome, if it is one, and of this job."""
    if not isinstance(outcome, Outcome):
        return lost(key, TypeError(f"need an Outcome of the worker, got {type(outcome).__name__}"))
    if outcome.key != key:
        return lost(key, ValueError(f"need the outcome of {key}, got that of {outcome.key}"))
    return outcome


def answer(advance: Callable[[Job], Outcome], job: Job) -> bytes:
    """Run a job inside a worker, and put what came of it into bytes that arrive anywhere.

    An executor has only these to send back: nothing that a job returns or raises can break it.
    """
    process = os.getpid()
    try:
        return pickle.dumps(checked(job.key, advance(job)))
    except BaseException as error:
        return pickle.dumps(lost(job.key, error))
    finally:
        if os.getpid() != process:
            os._exit(1)  # a job forked, and its child came back: there is one answer to one job


@dataclass(slots=True, eq=False)
class _Submission:
    job: Job
    given_up: bool = False
    future: Future[Any] | None = field(default=None, repr=False)
    came: Event = field(default_factory=Event, repr=False)


class FuturesCrew:
    """A crew over any executor, real or duck-typed, as long as its futures call back.

    ``slots``: a number, or how to find it. An executor that has a method ``kill(future)`` can end
    a job that runs. ``owned``: closing the crew shuts the executor down.
    """

    def __init__(
        self,
        executor: Executor,
        slots: int | Callable[[], int],
        advance: Callable[[Job], Outcome],
        *,
        owned: bool = False,
    ) -> None:
        self._executor = executor
        self._slots = slots
        self._answer = partial(answer, advance)
        self._owned = owned
        self._kill: Callable[[Future[Any]], Any] | None = getattr(executor, "kill", None)
        self._waiting: dict[Key, _Submission] = {}
        self._came: SimpleQueue[tuple[_Submission, Future[Any]]] = SimpleQueue()

    @property
    def slots(self) -> int:
        return self._slots if isinstance(self._slots, int) else self._slots()

    def now(self) -> float:
        return time.monotonic()

    def submit(self, job: Job) -> None:
        submission = _Submission(job)
        try:
            future: Future[Any] = self._executor.submit(self._answer, job)
        except ScaleSearchError:
            raise
        except Exception as error:
            raise SearchError(
                f"executor: it has to take {job.name}, got {type(error).__name__}: {error}; what "
                "was trained is on record, and the same command goes on from there"
            ) from error
        submission.future = future
        self._waiting[job.key] = submission
        future.add_done_callback(partial(self._arrived, submission))

    def _arrived(self, submission: _Submission, future: Future[Any]) -> None:
        self._came.put((submission, future))
        submission.came.set()

    def ask(
        self,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        future = self._executor.submit(function, *args, **kwargs)
        try:
            return future.result()
        except (WorkerLost, BrokenExecutor) as error:
            raise SearchError(
                f"workers: one has to live until it has looked at images and device, got none that "
                f"did: {error}; mend that and run the same command again"
            ) from error
        except KeyboardInterrupt:
            self._end(future)  # or closing would wait for it
            raise

    def collect(self, timeout: float | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        deadline = None if timeout is None else self.now() + timeout
        while not outcomes:
            left = None if deadline is None else max(0.0, deadline - self.now())
            try:
                arrived = [self._came.get(timeout=left)]
            except Empty:
                break
            while not self._came.empty():  # nobody else takes from it
                arrived.append(self._came.get())
            outcomes = [told for come in arrived if (told := self._told(*come)) is not None]
        return outcomes

    def _told(self, submission: _Submission, future: Future[Any]) -> Outcome | None:
        key = submission.job.key
        if self._waiting.get(key) is submission:
            del self._waiting[key]
        outcome = _outcome(key, future)
        known = submission.given_up and outcome.failure and outcome.failure.kind == "worker_lost"
        return None if known else outcome

    def give_up(self, job: Job) -> None:
        submission = self._waiting.pop(job.key, None)
        if submission is not None:
            submission.given_up = True
            self._end(submission.future)

    def _end(self, future: Future[Any] | None) -> None:
        assert future is not None
        if self._kill:
            self._kill(future)
        else:
            future.cancel()

    def close(self, *, at_once: bool) -> None:
        waiting = list(self._waiting.values())
        if at_once:
            for submission in waiting:
                self._end(submission.future)
        else:
            for submission in waiting:  # not for its future, which is done before it has told so
                submission.came.wait()
        if self._owned:
            self._executor.shutdown(wait=not at_once or self._kill is not None)


def _outcome(key: Key, future: Future[Any]) -> Outcome:
    if future.cancelled():
        return lost(key, WorkerLost("the executor cancelled the job"))
    if (raised := future.exception()) is not None:
        return lost(key, raised)
    try:
        said = future.result()
        return checked(key, pickle.loads(said) if isinstance(said, bytes) else said)
    except Exception as error:  # what one process can pickle, another may fail to read
        return lost(key, error)
