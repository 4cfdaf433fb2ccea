"""What the driver hands to a worker, and what comes back: plain data, fit to be pickled.

``advance(job) -> Outcome`` is a job's only meaning, wherever it is carried out.

What stays the same while a search runs, and the job that each task becomes by it.
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
from scalesearch.search.study.search_trial import SearchTrial
from scalesearch.search.trial_progress import HalvingConfig, JobSpec
from scalesearch.training.lr_rules import adapted_recipe

FailureKind: TypeAlias = Literal[
    "out_of_memory", "diverged", "worker_lost", "timeout", "data", "bug"
]
JobKey: TypeAlias = tuple[str, tuple[int, ...], int, int, bool]
"""Candidate, seeds, start, stop, whether it is a sweep: equal for every attempt at one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Train seeds of one candidate from the epoch after ``start`` to the epoch ``stop``.

    ``candidate``: the architecture's fingerprint. ``seeds``: one, or several that are trained
    together. ``attempt``: how many earlier ones were lost. ``sweep``: look for the candidate's
    learning rate, and train nothing that counts. ``fingerprints``: of each seed's images, which a
    worker has to find the same. ``checkpoints``: the folder of the runs' states, on a file system
    that all workers share. ``halt``: where this file exists, a job ends after its present epoch.
    ``news``: the folder in which a worker tells how far it is. ``allow_code``: the code of a
    baseline ``module:factory`` may be run.
    """

    candidate: str
    seeds: tuple[int, ...]
    start: int
    stop: int
    architecture: Architecture | CustomModel
    recipe: Recipe
    data: DataSpec
    fingerprints: tuple[str, ...]
    device: str
    checkpoints: Path
    attempt: int = 0
    sweep: bool = False
    halt: Path | None = None
    heartbeats: Path | None = None
    allow_code: bool = False

    @property
    def key(self) -> JobKey:
        """What every attempt at this job has in common."""
        return (self.candidate, self.seeds, self.start, self.stop, self.sweep)

    @property
    def name(self) -> str:
        """For people."""
        return job_name(self.key)

    def checkpoint_path(self, seed: int) -> Path:
        """The file in which a run's state is kept between epochs."""
        return checkpoint_path(self.checkpoints, self.candidate, seed)


def checkpoint_path(folder: Path, candidate: str, seed: int) -> Path:
    """The file of a run's state inside the folder of all checkpoints."""
    return folder / f"{candidate}-{seed}.pt"


def job_name(key: JobKey) -> str:
    """A job for people: ``54f15e9d seed 0 epochs 1-3``."""
    candidate, seeds, start, stop, sweep = key
    prefix = f"{candidate[:8]} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if sweep:
        return f"{prefix} learning-rate sweep"
    return f"{prefix} epoch{'s' if stop - start > 1 else ''} " + (
        f"{start + 1}-{stop}" if stop - start > 1 else f"{stop}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job did not get where it should: its class, one line for people, and where from."""

    kind: FailureKind
    reason: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job.

    ``rows``: what each epoch of each seed measured, in order; fewer than asked for where the job
    was halted or failed. ``tuning``: what a sweep found. ``worker``: who did it. ``began``,
    ``ended``: Unix seconds by the worker's clock.
    """

    key: JobKey
    rows: tuple[dict[str, Any], ...] = ()
    tuning: dict[str, Any] | None = None
    failure: Failure | None = None
    worker: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchContext:
    """``data``: the facts of the images. ``micro_batch``: the one that fits every candidate.
    ``keep``: whether checkpoints stay when nothing goes on from them."""

    experiment: Experiment
    folder: SearchPaths
    baseline: Architecture | CustomModel
    data: dict[str, Any]
    device: str
    micro_batch: int | None
    allow_code: bool = False
    keep_checkpoints: bool = False

    @property
    def halving_config(self) -> HalvingConfig:
        """What the schedule goes by."""
        return rules(self.experiment)

    def job(self, trial: SearchTrial, job_spec: JobSpec) -> Job:
        """The job of a task: the candidate's own recipe by the rules of the experiment's."""
        last_epoch = self.experiment.rungs[-1]
        return Job(
            candidate=trial.candidate,
            seeds=job_spec.seeds,
            start=job_spec.start,
            stop=job_spec.stop or last_epoch,
            sweep=job_spec.sweep,
            architecture=trial.network,
            recipe=self.recipe(trial),
            data=self.experiment.data,
            fingerprints=tuple(self.data["fingerprints"][str(seed)] for seed in job_spec.seeds),
            device=self.device,
            checkpoints=self.folder.checkpoints.resolve(),
            halt=self.folder.halt.resolve(),
            heartbeats=self.folder.heartbeats.resolve(),
            allow_code=self.allow_code,
        )

    def recipe(self, trial: SearchTrial) -> Recipe:
        """What a candidate is trained with."""
        recipe = replace(self.experiment.recipe, micro_batch=self.micro_batch)
        learning_rate = None if trial.tuning is None else float(trial.tuning["learning_rate"])
        return candidate_recipe(
            recipe, trial.network, self.baseline, self.data["pixels"], learning_rate
        )

    def remove_checkpoints(self, trial: SearchTrial) -> None:
        """Remove the checkpoints that nothing will go on from, unless a worker is at one still."""
        if self.keep_checkpoints:
            return
        can_be_extended = self.experiment.rungs[-1] < self.experiment.recipe.epochs
        if trial.state == "complete" and can_be_extended:
            return  # longer rungs would (see `scalesearch extend`)
        if trial.state == "failed":
            return  # `scalesearch retry` would
        for seed in {seed for seed, _ in trial.recorded_epochs} | set(self.experiment.seeds):
            remove_checkpoint(checkpoint_path(self.folder.checkpoints, trial.candidate, seed))


def candidate_recipe(
    recipe: Recipe,
    network: Architecture | CustomModel,
    baseline: Architecture | CustomModel,
    pixels: int,
    learning_rate: float | None,
) -> Recipe:
    """An experiment's recipe for one of its networks. ``pixels``: side of the stored images.
    ``rate``: what a sweep found, None where there was none."""
    recipe = adapted_recipe(recipe, network, baseline)
    if recipe.evaluation_zoom is None:
        recipe = replace(recipe, evaluation_zoom=default_zoom(pixels, baseline.resolution))
    if learning_rate is not None:
        recipe = replace(recipe, learning_rate=learning_rate, learning_rate_rule="fixed")
    return recipe


def rules(experiment: Experiment) -> HalvingConfig:
    """What an experiment's schedule goes by."""
    search = experiment.search
    initial_seed_count = min(search.race or search.seeds, search.seeds)
    return HalvingConfig(
        rungs=experiment.rungs,
        seeds=experiment.seeds,
        initial_seed_count=initial_seed_count,
        eta=search.eta,
        asynchronous=search.asynchronous,
        together=search.together,
        tune_learning_rate=experiment.recipe.learning_rate_rule == "tuned",
    )
