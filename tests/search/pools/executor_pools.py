"""Executors that misbehave, and a loop that runs jobs on a pool as the tuner does."""

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

from executor_fakes import make_job


class HostileExecutor(ThreadPoolExecutor):
    """An executor that reorders, delays, repeats and loses results."""

    def __init__(self, seed):
        super().__init__(4)
        self.random = random.Random(seed)
        self.held = []

    def submit(self, fn, /, *args, **kwargs):
        outcome = Unreliable()
        future = super().submit(fn, *args, **kwargs)
        fate = self.random.choice(["prompt", "prompt", "held", "twice", "lost", "cancelled"])
        outcome.times = 2 if fate == "twice" else 1
        if fate == "lost":
            return outcome
        if fate == "cancelled":
            outcome.cancel()
            return outcome
        if fate == "held":
            self.held.append((outcome, future))
            if len(self.held) < 2:
                return outcome
        else:
            self.held.append((outcome, future))
        self.random.shuffle(self.held)
        for waiting, future_held in self.held:
            future_held.add_done_callback(waiting.copy_result)
        self.held = []
        return outcome


class Unreliable(Future):
    times = 1

    def copy_result(self, future):
        if not self.cancelled():
            self.set_result(future.result())

    def _invoke_callbacks(self):
        for _ in range(self.times):
            super()._invoke_callbacks()


def run_jobs(pool, jobs, within=200.0, patience=None):
    """Run jobs as the tuner does, never more than slots; return outcomes by key.

    ``patience``: seconds after which a job is cancelled and submitted again.
    """
    waiting, running, outcomes = list(jobs), {}, {}
    deadline = pool.now() + within
    while waiting or running:
        while waiting and len(running) < pool.slots:
            following = waiting.pop(0)
            running[following.key] = following, pool.now()
            pool.submit(following)
        for outcome in pool.collect(0.05 if patience else 1.0):
            outcomes.setdefault(outcome.key, []).append(outcome)
            running.pop(outcome.key, None)
        for job, since in list(running.values()):
            if patience and pool.now() - since > patience:
                pool.cancel(job)
                running.pop(job.key)
                waiting.append(job)
        assert pool.now() < deadline, f"after {within} s still in flight: {list(running)}"
    return outcomes


def empty_jobs(count, first=100):
    return [make_job("nothing", seed) for seed in range(first, first + count)]


def _is_written(path):
    return path.exists() and path.stat().st_size > 0


def wait_for(folder, *names, within=200):
    deadline = time.monotonic() + within
    while not all(_is_written(folder / name) for name in names):
        assert time.monotonic() < deadline, f"none of {names} within {within} s"
        time.sleep(0.01)
