"""What stays the same while a search runs, and the job that each task becomes by it."""

from dataclasses import dataclass, replace
from typing import Any

from scalesearch.architectures import Architecture, Foreign
from scalesearch.data import zoom
from scalesearch.experiment import Experiment
from scalesearch.recipe import Recipe
from scalesearch.search.folder import Folder
from scalesearch.search.hold import removed
from scalesearch.search.jobs import Job, checkpoint
from scalesearch.search.runners import Rules, Task
from scalesearch.search.study import Entry
from scalesearch.training import adapted


@dataclass(frozen=True, slots=True)
class Setting:
    """``data``: the facts of the images. ``micro_batch``: the one that fits every candidate.
    ``keep``: whether checkpoints stay when nothing goes on from them."""

    experiment: Experiment
    folder: Folder
    baseline: Architecture | Foreign
    data: dict[str, Any]
    device: str
    micro_batch: int | None
    allow_code: bool = False
    keep: bool = False

    @property
    def rules(self) -> Rules:
        """What the schedule goes by."""
        return rules(self.experiment)

    def job(self, entry: Entry, task: Task) -> Job:
        """The job of a task: the candidate's own recipe by the rules of the experiment's."""
        last = self.experiment.rungs[-1]
        return Job(
            candidate=entry.candidate,
            seeds=task.seeds,
            start=task.start,
            stop=task.stop or last,
            sweep=task.sweep,
            architecture=entry.network,
            recipe=self.recipe(entry),
            data=self.experiment.data,
            fingerprints=tuple(self.data["fingerprints"][str(seed)] for seed in task.seeds),
            device=self.device,
            checkpoints=self.folder.checkpoints.resolve(),
            halt=self.folder.halt.resolve(),
            news=self.folder.news.resolve(),
            allow_code=self.allow_code,
        )

    def recipe(self, entry: Entry) -> Recipe:
        """What a candidate is trained with."""
        recipe = replace(self.experiment.recipe, micro_batch=self.micro_batch)
        rate = None if entry.tuning is None else float(entry.tuning["learning_rate"])
        return own_recipe(recipe, entry.network, self.baseline, self.data["pixels"], rate)

    def forget(self, entry: Entry) -> None:
        """Remove the checkpoints that nothing will go on from, unless a worker is at one still."""
        if self.keep:
            return
        further = self.experiment.rungs[-1] < self.experiment.recipe.epochs
        if entry.state == "complete" and further:
            return  # longer rungs would (see `scalesearch extend`)
        if entry.state == "failed":
            return  # `scalesearch retry` would
        for seed in {seed for seed, _ in entry.held} | set(self.experiment.seeds):
            removed(checkpoint(self.folder.checkpoints, entry.candidate, seed))


def own_recipe(
    recipe: Recipe,
    network: Architecture | Foreign,
    baseline: Architecture | Foreign,
    pixels: int,
    rate: float | None,
) -> Recipe:
    """An experiment's recipe for one of its networks. ``pixels``: side of the stored images.
    ``rate``: what a sweep found, None where there was none."""
    recipe = adapted(recipe, network, baseline)
    if recipe.evaluation_zoom is None:
        recipe = replace(recipe, evaluation_zoom=zoom(pixels, baseline.resolution))
    if rate is not None:
        recipe = replace(recipe, learning_rate=rate, learning_rate_rule="fixed")
    return recipe


def rules(experiment: Experiment) -> Rules:
    """What an experiment's schedule goes by."""
    search = experiment.search
    first = min(search.race or search.seeds, search.seeds)
    return Rules(
        rungs=experiment.rungs,
        seeds=experiment.seeds,
        first=first,
        eta=search.eta,
        asynchronous=search.asynchronous,
        together=search.together,
        tuned=experiment.recipe.learning_rate_rule == "tuned",
    )
