"""Executors that misbehave, and a loop that runs jobs on a pool as the tuner does."""

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

from executor_fakes import job


class HostileExecutor(ThreadPoolExecutor):
    """Reorders, delays and repeats what its threads return, and loses some of it."""

    def __init__(self, seed):
        super().__init__(4)
        self.random = random.Random(seed)
        self.held = []

    def submit(self, fn, /, *args, **kwargs):
        outcome = Unreliable()
        inner = super().submit(fn, *args, **kwargs)
        fate = self.random.choice(["prompt", "prompt", "held", "twice", "lost", "cancelled"])
        outcome.times = 2 if fate == "twice" else 1
        if fate == "lost":
            return outcome
        if fate == "cancelled":
            outcome.cancel()
            return outcome
        if fate == "held":
            self.held.append((outcome, inner))
            if len(self.held) < 2:
                return outcome
        else:
            self.held.append((outcome, inner))
        self.random.shuffle(self.held)
        for waiting, result in self.held:
            result.add_done_callback(waiting.tell)
        self.held = []
        return outcome


class Unreliable(Future):
    times = 1

    def tell(self, inner):
        if not self.cancelled():
            self.set_result(inner.result())

    def _invoke_callbacks(self):
        for _ in range(self.times):
            super()._invoke_callbacks()


def run_jobs(pool, jobs, within=200.0, patience=None):
    """Run jobs as the tuner does, never more than slots; return outcomes by key.

    ``patience``: seconds after which a job is cancelled and submitted again.
    """
    waiting, flying, outcomes = list(jobs), {}, {}
    end = pool.now() + within
    while waiting or flying:
        while waiting and len(flying) < pool.slots:
            following = waiting.pop(0)
            flying[following.key] = following, pool.now()
            pool.submit(following)
        for outcome in pool.collect(0.05 if patience else 1.0):
            outcomes.setdefault(outcome.key, []).append(outcome)
            flying.pop(outcome.key, None)
        for late, since in list(flying.values()):
            if patience and pool.now() - since > patience:
                pool.cancel(late)
                flying.pop(late.key)
                waiting.append(late)
        assert pool.now() < end, f"after {within} s still in flight: {list(flying)}"
    return outcomes


def empty_jobs(count, first=100):
    return [job("nothing", seed) for seed in range(first, first + count)]


def _written(path):
    return path.exists() and path.stat().st_size > 0


def wait_for(folder, *names, within=200):
    end = time.monotonic() + within
    while not all(_written(folder / name) for name in names):
        assert time.monotonic() < end, f"none of {names} within {within} s"
        time.sleep(0.01)
