"""Jobs one after another in this process: for tests, for debugging, and where one is enough."""

import time
from collections import deque
from collections.abc import Callable

from scalesearch.search.crew import Answer, Arguments, checked, lost
from scalesearch.search.jobs import Job, Outcome


class InlineCrew:
    """A job is done when its outcome is asked for, so that it can be seen in flight before.

    KeyboardInterrupt and SystemExit, which are meant for this process, get out.
    """

    def __init__(self, advance: Callable[[Job], Outcome]) -> None:
        self._advance = advance
        self._waiting: deque[Job] = deque()

    @property
    def slots(self) -> int:
        return 1

    def now(self) -> float:
        return time.monotonic()

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def ask(
        self,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        return function(*args, **kwargs)

    def collect(self, timeout: float | None) -> list[Outcome]:
        """The outcome of the oldest job, however long it takes."""
        if not self._waiting:
            return []
        job = self._waiting.popleft()
        try:
            return [checked(job.key, self._advance(job))]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return [lost(job.key, error)]

    def give_up(self, job: Job) -> None:
        self._waiting = deque(other for other in self._waiting if other.key != job.key)

    def close(self, *, at_once: bool) -> None:
        if at_once:
            self._waiting.clear()
