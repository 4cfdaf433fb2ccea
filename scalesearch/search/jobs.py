"""Jobs for workers, and their outcomes: plain data that can be pickled.

``worker.run_job(job) -> Outcome`` is the meaning of a job, whichever worker pool runs it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import DataSpec, Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.data.augmentation.geometry import default_zoom
from scalesearch.locks import remove_checkpoint
from scalesearch.results.search_folder import SearchPaths
from scalesearch.search.halving_state import JobSpec
from scalesearch.search.study.search_trial import SearchTrial
from scalesearch.training.lr_rules import adapted_recipe

FailureKind: TypeAlias = Literal[
    "out_of_memory", "diverged", "worker_lost", "timeout", "data", "bug"
]
JobKey: TypeAlias = tuple[str, tuple[int, ...], int, int, bool]
"""Candidate, seeds, start, stop, sweep: the same for every attempt at a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobSpec):
    """Train seeds of a candidate from the epoch after ``start`` to ``stop``.

    A sweep has the last epoch of the experiment as ``stop``.
    """

    candidate: str
    """Fingerprint of the architecture."""
    architecture: Architecture | CustomModel
    recipe: Recipe
    data: DataSpec
    fingerprints: tuple[str, ...]
    """Fingerprint of each seed's images; a worker with other images refuses the job."""
    device: str
    checkpoints: Path
    """Folder of the checkpoints, on a file system that all workers share."""
    attempt: int = 0
    """Number of earlier attempts that were lost."""
    halt: Path | None = None
    """File whose existence ends the job after its present epoch."""
    heartbeats: Path | None = None
    """Folder in which the worker writes its heartbeat."""
    allow_code: bool = False
    """The code of a baseline ``module:factory`` may be run."""

    @property
    def key(self) -> JobKey:
        """Identity of the job, the same for every attempt."""
        return (self.candidate, self.seeds, self.start, self.stop, self.sweep)

    @property
    def name(self) -> str:
        """Name for people."""
        return job_name(self.key)

    def checkpoint_path(self, seed: int) -> Path:
        """Path of a seed's checkpoint."""
        return checkpoint_path(self.checkpoints, self.candidate, seed)


def checkpoint_path(folder: Path, candidate: str, seed: int) -> Path:
    """Path of a checkpoint in the folder of all checkpoints."""
    return folder / f"{candidate}-{seed}.pt"


def job_name(key: JobKey) -> str:
    """Name of a job for people: ``54f15e9d seed 0 epochs 1-3``."""
    candidate, seeds, start, stop, sweep = key
    prefix = f"{candidate[:8]} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if sweep:
        return f"{prefix} learning-rate sweep"
    return f"{prefix} epoch{'s' if stop - start > 1 else ''} " + (
        f"{start + 1}-{stop}" if stop - start > 1 else f"{stop}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason why a job did not reach its end."""

    kind: FailureKind
    reason: str
    """One line for people."""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a job."""

    key: JobKey
    rows: tuple[dict[str, Any], ...] = ()
    """Measurements of each epoch of each seed, in order; fewer than asked for after a halt or a
    failure."""
    tuning: dict[str, Any] | None = None
    """Result of a learning-rate sweep."""
    failure: Failure | None = None
    worker: str = ""
    """Name of the worker that ran the job."""
    started_at: float = 0.0
    """Start in Unix seconds, by the worker's clock."""
    ended_at: float = 0.0
    """End in Unix seconds, by the worker's clock."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """Settings that stay fixed during a search, and the jobs made from them."""

    experiment: Experiment
    folder: SearchPaths
    baseline: Architecture | CustomModel
    data: dict[str, Any]
    """Facts about the images (see ``worker.inspect_worker``)."""
    device: str
    micro_batch: int | None
    """Micro-batch that fits every candidate, in images."""
    allow_code: bool = False
    """The code of a baseline ``module:factory`` may be run."""
    keep_checkpoints: bool = False
    """Keep the checkpoints of trials that have ended."""

    def job(self, trial: SearchTrial, spec: JobSpec) -> Job:
        """Return the job of a trial, with the candidate's own recipe."""
        return Job(
            trial=spec.trial,
            candidate=trial.candidate,
            seeds=spec.seeds,
            start=spec.start,
            stop=spec.stop or self.experiment.rungs[-1],
            sweep=spec.sweep,
            architecture=trial.network,
            recipe=self.recipe(trial),
            data=self.experiment.data,
            fingerprints=tuple(self.data["fingerprints"][str(seed)] for seed in spec.seeds),
            device=self.device,
            checkpoints=self.folder.checkpoints.resolve(),
            halt=self.folder.halt.resolve(),
            heartbeats=self.folder.heartbeats.resolve(),
            allow_code=self.allow_code,
        )

    def recipe(self, trial: SearchTrial) -> Recipe:
        """Recipe that a candidate is trained with."""
        recipe = replace(self.experiment.recipe, micro_batch=self.micro_batch)
        learning_rate = None if trial.tuning is None else float(trial.tuning["learning_rate"])
        return candidate_recipe(
            recipe, trial.network, self.baseline, self.data["pixels"], learning_rate
        )

    def remove_checkpoints(self, trial: SearchTrial) -> None:
        """Remove the checkpoints of an ended trial, unless they may be needed again.

        A checkpoint that a worker still has locked stays.
        """
        if self.keep_checkpoints:
            return
        can_be_extended = self.experiment.rungs[-1] < self.experiment.recipe.epochs
        if trial.state == "complete" and can_be_extended:
            return  # `scalesearch extend` with later rungs continues from them
        if trial.state == "failed":
            return  # `scalesearch retry` continues from them
        for seed in {seed for seed, _ in trial.recorded_epochs} | set(self.experiment.seeds):
            remove_checkpoint(checkpoint_path(self.folder.checkpoints, trial.candidate, seed))


def candidate_recipe(
    recipe: Recipe,
    network: Architecture | CustomModel,
    baseline: Architecture | CustomModel,
    pixels: int,
    learning_rate: float | None,
) -> Recipe:
    """Return the recipe of an experiment as it applies to one of its networks.

    ``pixels``: side of the stored images. ``learning_rate``: result of a sweep; None without one.
    """
    recipe = adapted_recipe(recipe, network, baseline)
    if recipe.evaluation_zoom is None:
        recipe = replace(recipe, evaluation_zoom=default_zoom(pixels, baseline.resolution))
    if learning_rate is not None:
        recipe = replace(recipe, learning_rate=learning_rate, learning_rate_rule="fixed")
    return recipe
