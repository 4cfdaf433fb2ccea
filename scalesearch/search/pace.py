"""What a few steps of a network take, from which a whole search is foretold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from scalesearch.architectures import Architecture, CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data import Dataset, Split, load_dataset
from scalesearch.data.streaming import take_images
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.nets import code_allowed
from scalesearch.recipe import Recipe
from scalesearch.training import Job, TrainingDiverged, train

MEASURED_STEPS = 4
"""Of an epoch of the measurement; its second epoch is measured, as the first warms up."""
VALIDATION_IMAGES = 256


@dataclass(frozen=True, slots=True)
class StepTime:
    """What a few steps took. ``training``, ``validation``: seconds for an image; ``peak_bytes``:
    most memory in use meanwhile."""

    training_seconds: float
    validation_seconds: float
    peak_bytes: int


def measure_step_times(
    experiment: Experiment,
    networks: Sequence[Architecture | CustomModel],
    device: str,
    allow_code: bool,
) -> list[StepTime]:
    """What a few steps of each network take on this worker."""
    recipe = experiment.recipe
    short_recipe = replace(
        recipe,
        epochs=2,
        warmup_epochs=0,
        learning_rate_rule="fixed",
        regularisation="fixed",
    )
    subset = _subset(load_dataset(experiment.data, experiment.seed, device=device), MEASURED_STEPS * recipe.batch_size)
    with code_allowed(allow_code):
        return [_measure_step_time(network, short_recipe, subset.to(device), device) for network in networks]


def _measure_step_time(network: Architecture | CustomModel, recipe: Recipe, images: Dataset, device: str) -> StepTime:
    job = Job(architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network))
    try:
        epochs = list(train(job, images, device=device))
    except TrainingDiverged as error:  # a few steps at the full rate say nothing of a whole run
        epochs = list(error.epochs)
    if not epochs:
        raise SearchError(
            f"recipe: candidate {job.fingerprint} diverges in its first {MEASURED_STEPS} steps; lower "
            "recipe.learning_rate"
        )
    last_epoch = epochs[-1]
    training_seconds = 1 / last_epoch.images_per_second
    validation_seconds = last_epoch.seconds - training_seconds * len(images.train)
    return StepTime(training_seconds, max(0.0, validation_seconds) / len(images.validation), last_epoch.peak_bytes)


def _subset(images: Dataset, count: int) -> Dataset:
    return replace(
        images, train=_first_images(images.train, count), validation=_first_images(images.validation, VALIDATION_IMAGES)
    )


def _first_images(split: Split, count: int) -> Split:
    rows = torch.arange(min(count, len(split)))
    return Split(take_images(split.images, rows), split.labels[: len(rows)])
