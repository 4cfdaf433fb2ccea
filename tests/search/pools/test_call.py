"""Errors of calls to workers before there are jobs."""

from concurrent.futures import BrokenExecutor, Executor, Future

import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.worker_pool import ExecutorPool, WorkerLost


class Interrupted(Future):
    def result(self, timeout=None):
        raise KeyboardInterrupt


class Giving(Executor):
    """Always the same future."""

    def __init__(self, future):
        self.future = future
        self.killed = []

    def submit(self, fn, /, *args, **kwargs):
        return self.future

    def kill(self, future):
        self.killed.append(future)


@pytest.mark.parametrize("error", [WorkerLost("worker-0 was killed"), BrokenExecutor("a pool")])
def test_a_worker_lost_during_a_call_is_an_error_with_a_remedy(error):
    future = Future()
    future.set_exception(error)
    pool = ExecutorPool(Giving(future), 1, print)
    with refused(SearchError):
        pool.call(divmod, 7, 2)


def test_an_interrupted_call_does_not_wait_for_the_result():
    executor = Giving(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ExecutorPool(executor, 1, print).call(divmod, 7, 2)
    assert executor.killed == [executor.future]
