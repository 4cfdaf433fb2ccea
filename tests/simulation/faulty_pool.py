"""Simulated workers that are slow, die or hang, and runs that diverge."""

from dataclasses import replace
from math import inf

from scalesearch.search.jobs import Failure, Outcome
from scalesearch.simulation.surfaces import keyed_uniform
from scalesearch.simulation.virtual_pool import SimulatedPool


class FaultyPool(SimulatedPool):
    """Workers without any fault; subclasses set probabilities."""

    slow_fraction = 0.0
    slow_factor = 3.0
    death_probability = 0.0
    restart_seconds = 30.0
    divergence_probability = 0.0
    """Probability that a run diverges, at every attempt."""
    hang_probability = 0.0
    lost_jobs = 0

    def simulate_job(self, job, worker):
        keys = (job.candidate, *job.seeds, job.start, job.stop, job.attempt)
        seconds, outcome = super().simulate_job(job, worker)
        if keyed_uniform(self.seed, "slow", worker) < self.slow_fraction:
            seconds *= self.slow_factor
            slow = tuple(
                {**row, "seconds": row["seconds"] * self.slow_factor} for row in outcome.rows
            )
            outcome = replace(outcome, rows=slow)
        if keyed_uniform(self.seed, "hanging", *keys) < self.hang_probability:
            return inf, outcome
        if keyed_uniform(self.seed, "dying", *keys) < self.death_probability:
            type(self).lost_jobs += 1
            failure = Failure(kind="worker_lost", reason=f"worker {worker} died")
            death = seconds * keyed_uniform(self.seed, "death", *keys)
            return death + self.restart_seconds, Outcome(key=job.key, failure=failure)
        return self._diverged(job, seconds, outcome)

    def _diverged(self, job, seconds, outcome):
        """Cut off the rows of each run from the epoch at which it diverges."""
        rows = []
        for row in outcome.rows:
            epoch = self._divergence_epoch(job.candidate, row["seed"])
            if epoch is None or row["epoch"] < epoch:
                rows.append(row)
        if len(rows) == len(outcome.rows):
            return seconds, outcome
        failure = Failure(kind="diverged", reason="the loss is nan")
        cut = seconds * max(1, len(rows)) / len(outcome.rows)
        return cut, replace(outcome, rows=tuple(rows), failure=failure)

    def _divergence_epoch(self, candidate, seed):
        drawn = keyed_uniform(self.seed, "diverging", candidate, seed)
        if drawn >= self.divergence_probability:
            return None
        return 1 + int(5 * drawn / self.divergence_probability)


def faulty_pool(**faults):
    """Make a class of simulated workers with these faults."""
    return type("FaultyPool", (FaultyPool,), faults)
