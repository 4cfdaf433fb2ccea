"""Jobs one after another in this process: for tests, for debugging, and where one is enough."""

import time
from collections import deque
from collections.abc import Callable

from scalesearch.search.crew import Result, Params, validate_outcome, lost_outcome
from scalesearch.search.jobs import Job, Outcome


class InlinePool:
    """A job is done when its outcome is asked for, so that it can be seen in flight before.

    KeyboardInterrupt and SystemExit, which are meant for this process, get out.
    """

    def __init__(self, run_job: Callable[[Job], Outcome]) -> None:
        self._run_job = run_job
        self._queue: deque[Job] = deque()

    @property
    def slots(self) -> int:
        return 1

    def now(self) -> float:
        return time.monotonic()

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def call(
        self,
        function: Callable[Params, Result],
        /,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> Result:
        return function(*args, **kwargs)

    def collect(self, timeout: float | None) -> list[Outcome]:
        """The outcome of the oldest job, however long it takes."""
        if not self._queue:
            return []
        job = self._queue.popleft()
        try:
            return [validate_outcome(job.key, self._run_job(job))]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return [lost_outcome(job.key, error)]

    def cancel(self, job: Job) -> None:
        self._queue = deque(other for other in self._queue if other.key != job.key)

    def close(self, *, cancel_running: bool) -> None:
        if cancel_running:
            self._queue.clear()
