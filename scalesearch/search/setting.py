"""What stays the same while a search runs, and the job that each task becomes by it."""

from dataclasses import dataclass, replace
from typing import Any

from scalesearch.architectures import Architecture, CustomModel
from scalesearch.data import default_zoom
from scalesearch.experiment import Experiment
from scalesearch.recipe import Recipe
from scalesearch.search.folder import SearchFolder
from scalesearch.search.hold import remove_checkpoint
from scalesearch.search.jobs import Job, checkpoint_path
from scalesearch.search.runners import HalvingConfig, JobSpec
from scalesearch.search.study import SearchTrial
from scalesearch.training import adapted_recipe


@dataclass(frozen=True, slots=True)
class SearchContext:
    """``data``: the facts of the images. ``micro_batch``: the one that fits every candidate.
    ``keep``: whether checkpoints stay when nothing goes on from them."""

    experiment: Experiment
    folder: SearchFolder
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
        return candidate_recipe(recipe, trial.network, self.baseline, self.data["pixels"], learning_rate)

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
