"""Executors that misbehave, and jobs brought to their end on any crew as the engine does it."""

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
        told = Unreliable()
        inner = super().submit(fn, *args, **kwargs)
        fate = self.random.choice(["prompt", "prompt", "held", "twice", "lost", "cancelled"])
        told.times = 2 if fate == "twice" else 1
        if fate == "lost":
            return told
        if fate == "cancelled":
            told.cancel()
            return told
        if fate == "held":
            self.held.append((told, inner))
            if len(self.held) < 2:
                return told
        else:
            self.held.append((told, inner))
        self.random.shuffle(self.held)
        for waiting, result in self.held:
            result.add_done_callback(waiting.tell)
        self.held = []
        return told


class Unreliable(Future):
    times = 1

    def tell(self, inner):
        if not self.cancelled():
            self.set_result(inner.result())

    def _invoke_callbacks(self):
        for _ in range(self.times):
            super()._invoke_callbacks()


def done(crew, jobs, within=200.0, patience=None):
    """What came of jobs, by key, as the engine has them done: never more in flight than slots.

    ``patience``: seconds after which a job is given up and submitted again.
    """
    waiting, flying, outcomes = list(jobs), {}, {}
    end = crew.now() + within
    while waiting or flying:
        while waiting and len(flying) < crew.slots:
            following = waiting.pop(0)
            flying[following.key] = following, crew.now()
            crew.submit(following)
        for outcome in crew.collect(0.05 if patience else 1.0):
            outcomes.setdefault(outcome.key, []).append(outcome)
            flying.pop(outcome.key, None)
        for late, since in list(flying.values()):
            if patience and crew.now() - since > patience:
                crew.give_up(late)
                flying.pop(late.key)
                waiting.append(late)
        assert crew.now() < end, f"after {within} s still in flight: {list(flying)}"
    return outcomes


def nothing(count, first=100):
    return [job("nothing", seed) for seed in range(first, first + count)]


def _written(path):
    return path.exists() and path.stat().st_size > 0


def wait_for(folder, *names, within=200):
    end = time.monotonic() + within
    while not all(_written(folder / name) for name in names):
        assert time.monotonic() < end, f"none of {names} within {within} s"
        time.sleep(0.01)
