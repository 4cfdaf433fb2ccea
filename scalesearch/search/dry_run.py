"""Dry run of a search: what it would train, for how long and with how much memory.

Candidates and jobs are counted. Seconds are an estimate (``step_time``).
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from scalesearch.analysis.statistical_power import StatisticalPower
from scalesearch.architectures.memory import training_memory
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.experiment import Experiment
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.records import share_columns
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.design import PlannedTrial
from scalesearch.search.driver import require_searchable
from scalesearch.search.pools.opening import open_worker_pool
from scalesearch.search.run_noise import (
    RunNoise,
    guessed_noise,
    measure_noise,
    min_measurement_seconds,
    networks_to_measure,
    planned_power,
)
from scalesearch.search.samplers import LEARNING_SAMPLERS
from scalesearch.search.simulated_schedule import JobGroup, simulate_schedule
from scalesearch.search.step_time import (
    EpochSeconds,
    activations_per_mac,
    epoch_seconds_model,
    measure_step_times,
)
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.worker import WorkerInfo, inspect_worker, run_job
from scalesearch.search.worker_pool import WorkerPool

DocumentRow: TypeAlias = dict[str, Any]


class IdleWorkersWarning(UserWarning):
    """Warning about workers for which the search settings leave no job."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """Candidates, jobs, time, memory and statistical power of a search before it runs."""

    name: str
    device: str
    candidates: tuple[DocumentRow, ...]
    """One row for each planned candidate."""
    proposals: int
    """Number of candidates that the sampler will propose."""
    stages: tuple[JobGroup, ...]
    """All jobs, if the race drops no candidate and nothing fails."""
    workers: int
    seconds: float
    """Seconds until the end with this number of workers."""
    device_seconds: float
    """Seconds of all workers together."""
    memory_bytes: int | None
    """Memory to train the largest candidate, counted; None for custom models."""
    peak_bytes: int
    """Peak memory of a process during the measurement, with its libraries and images."""
    noise: RunNoise
    power: StatisticalPower
    """Differences that the plan can show at this noise, with all candidates fully trained."""

    @property
    def epochs(self) -> int:
        """Maximum number of epochs of all runs together."""
        return sum(stage.trained_epochs for stage in self.stages)

    @property
    def job_rows(self) -> list[DocumentRow]:
        """One flat row for each kind of job."""
        return [
            {
                "jobs": f"to epoch {stage.stop}" if stage.stop else "learning-rate sweeps",
                "of": "references" if stage.is_reference else "searched",
                "candidates": stage.candidates,
                "number": stage.jobs,
                "seeds": stage.seeds,
                "epochs": stage.epochs,
                "trained": stage.trained_epochs,
            }
            for stage in self.stages
        ]

    @property
    def document(self) -> DocumentRow:
        """The whole dry run as a JSON document."""
        return {**asdict(self), "stages": self.job_rows, "epochs": self.epochs}

    @property
    def summary_lines(self) -> list[str]:
        """The totals as lines of text."""
        proposals_text = f" and {self.proposals} to be proposed" if self.proposals else ""
        workers_text = f"{self.workers} worker{'s' if self.workers > 1 else ''} on {self.device}"
        total_duration = _format_duration(self.device_seconds)
        memory_text = (
            "" if self.memory_bytes is None else f", {_format_bytes(self.memory_bytes)} by count"
        )
        return [
            f"{len(self.candidates)} candidates{proposals_text}, {self.epochs:,} epochs at most",
            f"about {_format_duration(self.seconds)} with {workers_text}, {total_duration} of "
            "training in all (estimated from a few steps)",
            f"memory of one worker: {_format_bytes(self.peak_bytes)} while measuring{memory_text}",
        ]


def make_dry_run(
    experiment: Experiment,
    *,
    executor: str | Executor = "inline",
    workers: int | None = None,
    scheduler: str | None = None,
    devices: Sequence[str] | None = None,
    memory: int | None = None,
    allow_code: bool = False,
    noise: RunNoise | None = None,
    measure: float = 0.0,
) -> DryRun:
    """Count what ``run_search`` would train, and estimate its time with these workers.

    Nothing is written. With Dask a worker measures, otherwise this process. Raises what
    ``run_search`` raises for an experiment that cannot run. The other arguments are those of
    ``open_worker_pool``.
    ``noise``: noise of a run, if known. ``measure``: seconds to measure it; else it is guessed.
    """
    require_searchable(experiment)
    pool_options: dict[str, Any] = {"executor": "inline"}
    if executor not in ("inline", "local"):
        pool_options = {"executor": executor, "workers": workers, "scheduler": scheduler}
    with (
        code_allowed(allow_code),
        TemporaryDirectory() as log_folder,
        open_worker_pool(**pool_options, run_job=run_job, log_folder=Path(log_folder)) as pool,
    ):
        worker_count = workers or len(devices or ()) or pool.slots or 1
        worker_info = pool.call(inspect_worker, experiment)
        source = CandidateSource.from_experiment(experiment, worker_info.data)
        candidates = _candidates_by_memory(source)
        epoch_seconds_of, peak_bytes = _measure_extremes(
            pool, experiment, candidates, worker_info, allow_code
        )
        if noise is None:
            noise = _measure_or_guess_noise(
                pool, experiment, candidates, epoch_seconds_of, measure, worker_info, allow_code
            )
    _warn_of_idle_workers(experiment, worker_count)
    return DryRun(
        name=experiment.name,
        device=worker_info.device,
        proposals=experiment.search.proposal_count or 0,
        workers=worker_count,
        memory_bytes=_largest_memory_bytes(source, experiment),
        peak_bytes=peak_bytes,
        noise=noise,
        power=planned_power(source, noise),
        **_schedule_fields(source, worker_count, epoch_seconds_of),
    )


def _measure_extremes(
    pool: WorkerPool,
    experiment: Experiment,
    candidates: Sequence[Candidate],
    worker_info: WorkerInfo,
    allow_code: bool,
) -> tuple[EpochSeconds, int]:
    """Measure the first and the last candidate.

    Returns the estimate of an epoch's seconds for any candidate, and the peak memory.
    """
    extremes = [candidates[0], candidates[-1]]
    networks = [candidate.architecture for candidate in extremes]
    step_times = pool.call(measure_step_times, experiment, networks, worker_info.device, allow_code)
    epoch_seconds_of = epoch_seconds_model(
        extremes, step_times, worker_info.data["train"], worker_info.data["validation"]
    )
    return epoch_seconds_of, max(step_time.peak_bytes for step_time in step_times)


def _measure_or_guess_noise(
    pool: WorkerPool,
    experiment: Experiment,
    candidates: Sequence[Candidate],
    epoch_seconds_of: EpochSeconds,
    max_seconds: float,
    worker_info: WorkerInfo,
    allow_code: bool,
) -> RunNoise:
    """Measure the noise of a run if that takes at most these seconds, else guess it."""
    epoch_seconds = [*map(epoch_seconds_of, candidates)]
    networks, epochs = networks_to_measure(experiment, candidates, epoch_seconds, max_seconds)
    measured = (
        pool.call(measure_noise, experiment, networks, epochs, worker_info.device, allow_code)
        if networks
        else None
    )
    return measured or guessed_noise(
        worker_info.data["validation"], min_measurement_seconds(epoch_seconds)
    )


def _schedule_fields(
    source: CandidateSource, worker_count: int, epoch_seconds_of: EpochSeconds
) -> dict[str, Any]:
    """Simulate the schedule; return the fields of DryRun that depend on it."""
    planned_seconds = [epoch_seconds_of(trial.candidate) for trial in source.planned]
    mean_seconds = fmean(map(epoch_seconds_of, source.space.candidates))
    simulated = simulate_schedule(
        SuccessiveHalving.from_experiment(source.experiment),
        source,
        worker_count,
        lambda trial: planned_seconds[trial] if trial < len(planned_seconds) else mean_seconds,
    )
    return {
        "candidates": tuple(map(_candidate_row, source.planned, planned_seconds)),
        "stages": simulated.job_groups,
        "seconds": simulated.seconds,
        "device_seconds": simulated.device_seconds,
    }


def _candidates_by_memory(source: CandidateSource) -> list[Candidate]:
    """Sort the candidates that may be trained by activations per multiply-add."""
    candidates = {trial.candidate.fingerprint: trial.candidate for trial in source.planned}
    if source.experiment.search.proposal_count or not candidates:
        candidates |= {candidate.fingerprint: candidate for candidate in source.space.candidates}
    return sorted(candidates.values(), key=activations_per_mac)


def _candidate_row(planned: PlannedTrial, seconds: float) -> DocumentRow:
    candidate = planned.candidate
    return {
        "candidate": candidate.fingerprint,
        "role": planned.role,
        **share_columns(candidate.shares),
        "macs": candidate.cost.macs,
        "params": candidate.cost.params,
        "factor": candidate.factor,
        "epoch_seconds": seconds,
        "cells": "; ".join(cell.name for cell in planned.cells),
    }


def _largest_memory_bytes(source: CandidateSource, experiment: Experiment) -> int | None:
    """Count the memory of the largest candidate, times the seeds trained together."""
    recipe = experiment.recipe
    proposable = source.space.candidates if experiment.search.proposal_count else ()
    candidates = (*proposable, *(item.candidate for item in source.planned))
    networks = [candidate.architecture for candidate in candidates]
    optimizer = "adamw" if recipe.optimizer == "adam" else recipe.optimizer
    architectures = [network for network in networks if isinstance(network, Architecture)]
    if len(architectures) < len(networks):
        return None
    size = recipe.micro_batch or recipe.batch_size
    together = experiment.search.seeds if experiment.search.together else 1
    largest = max(
        training_memory(network, size, optimizer=optimizer).total for network in architectures
    )
    return together * largest


def _warn_of_idle_workers(experiment: Experiment, workers: int) -> None:
    search = experiment.search
    concurrent_jobs = search.cohort * min(search.race or search.seeds, search.seeds)
    if (
        search.sampler in LEARNING_SAMPLERS
        and not search.asynchronous
        and concurrent_jobs < workers
    ):
        warnings.warn(
            f"{workers} workers, but {search.cohort} proposals at a time are {concurrent_jobs} "
            "jobs: some workers will wait; raise search.cohort, or set search.asynchronous",
            IdleWorkersWarning,
            stacklevel=3,
        )


def _format_bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _format_duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
