"""A learning rate of a network's own, from a short sweep (``learning_rate_rule: tuned``)."""

import math
import time
from dataclasses import dataclass, replace

import torch

from scalesearch.data import Dataset
from scalesearch.recipe import Recipe
from scalesearch.training.job import Job
from scalesearch.training.loop import TrainingDiverged, train
from scalesearch.training.shape import LR_SWEEP_FACTORS

SWEEP_EPOCHS = 1


@dataclass(frozen=True, slots=True)
class LearningRateSweep:
    """Validation losses of short runs, by what the recipe's rate was multiplied with.

    ``learning_rate``: of the lowest loss. ``seconds``: what the sweep cost.
    """

    losses: dict[float, float]
    learning_rate: float
    seconds: float


def run_lr_sweep(job: Job, dataset: Dataset, *, device: torch.device | str) -> LearningRateSweep:
    """Train the job's network for one whole short schedule at each rate, and compare.

    All runs begin with the same weights and see the same images. A run that diverges has lost.
    Raises TrainingDiverged where all of them do.
    """
    started = time.perf_counter()
    losses = {factor: _final_loss(job, dataset, factor, device) for factor in LR_SWEEP_FACTORS}
    best_factor = min(losses, key=lambda factor: losses[factor])
    if not math.isfinite(losses[best_factor]):
        raise TrainingDiverged(
            f"learning-rate sweep of {job.fingerprint}, seed {job.seed}: need a rate that trains, "
            f"got none from {min(LR_SWEEP_FACTORS):g} to {max(LR_SWEEP_FACTORS):g} times {job.recipe.learning_rate:g}; "
            "lower the recipe's rate",
            (),
        )
    rate = job.recipe.learning_rate * best_factor
    return LearningRateSweep(losses, rate, time.perf_counter() - started)


def _final_loss(job: Job, dataset: Dataset, factor: float, device: torch.device | str) -> float:
    short_job = replace(job, recipe=_short_recipe(job.recipe, factor), start=0, stop=None, checkpoint=None)
    try:
        (*_, last) = train(short_job, dataset, device=device)
    except TrainingDiverged:
        return math.inf
    return last.loss


def _short_recipe(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with its schedule drawn together, so that every run ends as a run does; what is
    unfrozen later stays frozen."""
    warmup = recipe.warmup_epochs / recipe.epochs * SWEEP_EPOCHS
    transfer = None if recipe.transfer is None else replace(recipe.transfer, unfreeze=())
    return replace(
        recipe,
        epochs=SWEEP_EPOCHS,
        warmup_epochs=warmup,
        decay_epochs=recipe.decay_epochs / recipe.epochs * SWEEP_EPOCHS,
        learning_rate=recipe.learning_rate * factor,
        learning_rate_rule="fixed",
        patience=None,
        transfer=transfer,
    )
