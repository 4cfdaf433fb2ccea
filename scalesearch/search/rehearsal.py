"""A search as it goes if all candidates do equally well: its jobs, and when they end.

The schedule itself is told so, by workers that take as long as they are said to. With equal
accuracies, the references' a trifle lower, the rungs let on as many as they may, and the race
drops nobody.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.trial_progress import JobSpec
from scalesearch.training.lr_rules import LR_SWEEP_FACTORS

EQUAL_ACCURACY = 0.5
REFERENCE_DEFICIT = 1e-9
"""By how much references are behind, which go on in any case: no other's place is theirs."""


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs of one kind, counted. ``seeds`` are trained in each, for ``epochs``: the last is
    ``stop``, and 0 for sweeps of learning rates. ``references``: trained to the end in any case."""

    stop: int
    is_reference: bool
    jobs: int
    candidates: int
    seeds: int
    epochs: int

    @property
    def trained_epochs(self) -> int:
        """Epochs that come into the records."""
        return self.jobs * self.seeds * self.epochs if self.stop else 0


@dataclass(frozen=True, slots=True)
class SimulatedSchedule:
    """``seconds``: until the last job ends; ``busy``: of all jobs together."""

    job_groups: tuple[JobGroup, ...]
    seconds: float
    device_seconds: float


def simulate_schedule(
    halving: SuccessiveHalving,
    source: CandidateSource,
    workers: int,
    epoch_seconds: Callable[[int], float],
) -> SimulatedSchedule:
    """Play a search through. ``schedule``: an empty one by its rules. ``epoch_seconds``: of one
    epoch of the candidate at a place."""
    finished_jobs: list[JobSpec] = []
    job_ends: list[tuple[float, int, JobSpec]] = []
    device_seconds = clock = 0.0
    rounds = _start_rounds(halving, source)
    while True:
        while len(job_ends) < workers:
            job_spec = halving.next_job()
            if job_spec is not None:
                duration = _job_epochs(job_spec) * epoch_seconds(job_spec.trial)
                device_seconds += duration
                heapq.heappush(
                    job_ends, (clock + duration, len(finished_jobs) + len(job_ends), job_spec)
                )
            elif not next(rounds, False):
                break
        if not job_ends:
            halving.stop_waiting_trials()
            if not halving.decisions():
                break
            continue
        clock, _, job_spec = heapq.heappop(job_ends)
        finished_jobs.append(job_spec)
        accuracy = (
            EQUAL_ACCURACY - REFERENCE_DEFICIT * halving.progress[job_spec.trial].is_reference
        )
        for epoch in range(job_spec.start + 1, job_spec.stop + 1):
            for seed in job_spec.seeds:
                halving.report(job_spec.trial, seed, epoch, accuracy)
        halving.finish_job(job_spec)
    return SimulatedSchedule(tuple(_job_groups(finished_jobs, source)), clock, device_seconds)


def _start_rounds(halving: SuccessiveHalving, source: CandidateSource) -> Iterator[bool]:
    """Let one cohort in whenever asked; false as long as the one before is not over."""
    round_index = 0
    while trials := source.indices_of_round(round_index):
        while round_index and not (
            halving.config.asynchronous or halving.is_round_finished(round_index - 1)
        ):
            yield False
        for trial in trials:
            roles = _roles_of(source, trial)
            halving.add_trial(
                trial,
                round_index,
                is_searched="searched" in roles,
                is_reference=roles != ["searched"],
            )
        halving.start_round(round_index)
        round_index += 1
        yield True


def _roles_of(source: CandidateSource, trial: int) -> list[str]:
    planned = source.planned
    return planned[trial].role.split("+") if trial < len(planned) else ["searched"]


def _job_epochs(job_spec: JobSpec) -> int:
    return (
        len(LR_SWEEP_FACTORS)
        if job_spec.sweep
        else len(job_spec.seeds) * (job_spec.stop - job_spec.start)
    )


def _job_groups(job_specs: list[JobSpec], source: CandidateSource) -> Iterator[JobGroup]:
    job_counts: Counter[tuple[int, bool, int, int]] = Counter()
    trials_by_kind: dict[tuple[int, bool, int, int], set[int]] = {}
    for job_spec in job_specs:
        is_reference = _roles_of(source, job_spec.trial) != ["searched"]
        epochs = len(LR_SWEEP_FACTORS) if job_spec.sweep else job_spec.stop - job_spec.start
        kind = (job_spec.stop, is_reference, epochs, len(job_spec.seeds))
        job_counts[kind] += 1
        trials_by_kind.setdefault(kind, set()).add(job_spec.trial)
    for kind in sorted(job_counts):
        stop, is_reference, epochs, seeds = kind
        yield JobGroup(
            stop, is_reference, job_counts[kind], len(trials_by_kind[kind]), seeds, epochs
        )
