"""The jobs and the duration of a search in which all trials are equally good.

The halving of the search runs over workers whose speed is given. With equal accuracies (slightly
lower ones for references) each rung lets as many trials continue as it may, and the race drops
none.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.halving_state import HalvingTrial, JobSpec
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.training.lr_rules import LR_SWEEP_FACTORS

EQUAL_ACCURACY = 0.5
REFERENCE_DEFICIT = 1e-9
"""Accuracy that references lack. They continue in any case, and should take no other's rank."""


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs of one kind, counted."""

    stop: int
    """Last epoch of the jobs; 0 for learning-rate sweeps."""
    is_reference: bool
    """The trials are references, which are trained to the end in any case."""
    jobs: int
    candidates: int
    seeds: int
    """Seeds that each job trains."""
    epochs: int
    """Epochs that each job trains, per seed."""

    @property
    def trained_epochs(self) -> int:
        """Number of epochs that enter the records."""
        return self.jobs * self.seeds * self.epochs if self.stop else 0


@dataclass(frozen=True, slots=True)
class SimulatedSchedule:
    """The jobs of a search, grouped, and their duration."""

    job_groups: tuple[JobGroup, ...]
    seconds: float
    """Time until the last job ends."""
    device_seconds: float
    """Time of all jobs together."""

    @property
    def trained_epochs(self) -> int:
        """Number of epochs that enter the records."""
        return sum(group.trained_epochs for group in self.job_groups)


def simulate_schedule(
    halving: SuccessiveHalving,
    source: CandidateSource,
    workers: int,
    epoch_seconds: Callable[[int], float],
) -> SimulatedSchedule:
    """Simulate a search.

    ``halving``: one without trials. ``epoch_seconds``: duration of one epoch of a trial.
    """
    finished_jobs: list[JobSpec] = []
    job_ends: list[tuple[float, int, JobSpec]] = []
    device_seconds = clock = 0.0
    rounds = _start_rounds(halving, source)
    while True:
        while len(job_ends) < workers:
            job = halving.next_job()
            if job is not None:
                duration = _job_epochs(job) * epoch_seconds(job.trial)
                device_seconds += duration
                heapq.heappush(
                    job_ends, (clock + duration, len(finished_jobs) + len(job_ends), job)
                )
            elif not next(rounds, False):
                break
        if not job_ends:
            halving.stop_waiting_trials()
            if not halving.decisions():
                break
            continue
        clock, _, job = heapq.heappop(job_ends)
        finished_jobs.append(job)
        accuracy = EQUAL_ACCURACY - REFERENCE_DEFICIT * halving.trials[job.trial].is_reference
        for epoch in range(job.start + 1, job.stop + 1):
            for seed in job.seeds:
                halving.report(job.trial, seed, epoch, accuracy)
        halving.finish_job(job)
    return SimulatedSchedule(tuple(_job_groups(finished_jobs, source)), clock, device_seconds)


def _start_rounds(halving: SuccessiveHalving, source: CandidateSource) -> Iterator[bool]:
    """Start a round at each step; yield False while the round before is not over."""
    round_index = 0
    while indices := source.indices_of_round(round_index):
        while not halving.may_start_round(round_index):
            yield False
        halving.start_round(
            round_index, [HalvingTrial(index, _role(source, index)) for index in indices]
        )
        round_index += 1
        yield True


def _role(source: CandidateSource, index: int) -> str:
    return source.planned[index].role if index < len(source.planned) else "searched"


def _job_epochs(job: JobSpec) -> int:
    return len(LR_SWEEP_FACTORS) if job.sweep else len(job.seeds) * (job.stop - job.start)


def _job_groups(jobs: list[JobSpec], source: CandidateSource) -> Iterator[JobGroup]:
    job_counts: Counter[tuple[int, bool, int, int]] = Counter()
    trials_by_kind: dict[tuple[int, bool, int, int], set[int]] = {}
    for job in jobs:
        is_reference = _role(source, job.trial) != "searched"
        epochs = len(LR_SWEEP_FACTORS) if job.sweep else job.stop - job.start
        kind = (job.stop, is_reference, epochs, len(job.seeds))
        job_counts[kind] += 1
        trials_by_kind.setdefault(kind, set()).add(job.trial)
    for kind in sorted(job_counts):
        stop, is_reference, epochs, seeds = kind
        yield JobGroup(
            stop, is_reference, job_counts[kind], len(trials_by_kind[kind]), seeds, epochs
        )
