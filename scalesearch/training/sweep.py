"""A learning rate of a network's own, from a short sweep (``learning_rate_rule: tuned``)."""

import math
import time
from dataclasses import dataclass, replace

import torch

from scalesearch.data import Dataset
from scalesearch.recipe import Recipe
from scalesearch.training.job import Job
from scalesearch.training.loop import TrainingDiverged, train
from scalesearch.training.shape import SWEEP

EPOCHS = 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """Validation losses of short runs, by what the recipe's rate was multiplied with.

    ``learning_rate``: of the lowest loss. ``seconds``: what the sweep cost.
    """

    losses: dict[float, float]
    learning_rate: float
    seconds: float


def swept(job: Job, dataset: Dataset, *, device: torch.device | str) -> Sweep:
    """Train the job's network for one whole short schedule at each rate, and compare.

    All runs begin with the same weights and see the same images. A run that diverges has lost.
    Raises TrainingDiverged where all of them do.
    """
    began = time.perf_counter()
    losses = {factor: _loss(job, dataset, factor, device) for factor in SWEEP}
    best = min(losses, key=lambda factor: losses[factor])
    if not math.isfinite(losses[best]):
        raise TrainingDiverged(
            f"learning-rate sweep of {job.fingerprint}, seed {job.seed}: need a rate that trains, "
            f"got none from {min(SWEEP):g} to {max(SWEEP):g} times {job.recipe.learning_rate:g}; "
            "lower the recipe's rate",
            (),
        )
    rate = job.recipe.learning_rate * best
    return Sweep(losses, rate, time.perf_counter() - began)


def _loss(job: Job, dataset: Dataset, factor: float, device: torch.device | str) -> float:
    short = replace(job, recipe=_short(job.recipe, factor), start=0, stop=None, checkpoint=None)
    try:
        (*_, last) = train(short, dataset, device=device)
    except TrainingDiverged:
        return math.inf
    return last.loss


def _short(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with its schedule drawn together, so that every run ends as a run does; what is
    unfrozen later stays frozen."""
    warmup = recipe.warmup_epochs / recipe.epochs * EPOCHS
    transfer = None if recipe.transfer is None else replace(recipe.transfer, unfreeze=())
    return replace(
        recipe,
        epochs=EPOCHS,
        warmup_epochs=warmup,
        decay_epochs=recipe.decay_epochs / recipe.epochs * EPOCHS,
        learning_rate=recipe.learning_rate * factor,
        learning_rate_rule="fixed",
        patience=None,
        transfer=transfer,
    )
