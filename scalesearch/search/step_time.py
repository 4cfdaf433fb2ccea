"""Measured seconds of a training step, and the seconds of an epoch that follow.

The two candidates with the fewest and the most activations per multiply-add, which are the fastest
and the slowest for their cost, are trained for a few steps on a few images. All other candidates
are interpolated between the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.experiment import Experiment
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.data.streaming import take_images
from scalesearch.errors import SearchError
from scalesearch.models.custom_model import code_allowed
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import TrainingDiverged, train

MEASURED_STEPS = 4
"""Steps of an epoch of the measurement; the first epoch warms up, the second is measured."""
VALIDATION_IMAGES = 256
EpochSeconds: TypeAlias = Callable[[Candidate], float]


@dataclass(frozen=True, slots=True)
class StepTime:
    """Measured time and memory of a network."""

    training_seconds: float
    """Seconds of training for each image."""
    validation_seconds: float
    """Seconds of validation for each image."""
    peak_bytes: int
    """Peak memory during the measurement."""


def measure_step_times(
    experiment: Experiment,
    networks: Sequence[Architecture | CustomModel],
    device: str,
    allow_code: bool,
) -> list[StepTime]:
    """Measure a few steps of each network on this worker."""
    recipe = experiment.recipe
    short_recipe = replace(
        recipe,
        epochs=2,
        warmup_epochs=0,
        learning_rate_rule="fixed",
        regularisation="fixed",
    )
    subset = _subset(
        load_dataset(experiment.data, experiment.seed, device=device),
        MEASURED_STEPS * recipe.batch_size,
    )
    with code_allowed(allow_code):
        return [
            _measure_step_time(network, short_recipe, subset.to(device), device)
            for network in networks
        ]


def _measure_step_time(
    network: Architecture | CustomModel, recipe: Recipe, images: Dataset, device: str
) -> StepTime:
    job = TrainingJob(architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network))
    try:
        epochs = list(train(job, images, device=device))
    except TrainingDiverged as error:  # a whole run with warm-up may still converge
        epochs = list(error.epochs)
    if not epochs:
        raise SearchError(
            f"recipe: candidate {job.fingerprint} diverges in its first {MEASURED_STEPS} steps; "
            "lower recipe.learning_rate"
        )
    last_epoch = epochs[-1]
    training_seconds = 1 / last_epoch.images_per_second
    validation_seconds = last_epoch.seconds - training_seconds * len(images.train)
    return StepTime(
        training_seconds,
        max(0.0, validation_seconds) / len(images.validation),
        last_epoch.peak_bytes,
    )


def _subset(images: Dataset, count: int) -> Dataset:
    return replace(
        images,
        train=_first_images(images.train, count),
        validation=_first_images(images.validation, VALIDATION_IMAGES),
    )


def _first_images(split: Split, count: int) -> Split:
    rows = torch.arange(min(count, len(split)))
    return Split(take_images(split.images, rows), split.labels[: len(rows)])


def activations_per_mac(candidate: Candidate) -> float:
    """Return the activations of a candidate for each of its multiply-adds."""
    return candidate.cost.activations / candidate.cost.macs


def epoch_seconds_model(
    measured: Sequence[Candidate],
    step_times: Sequence[StepTime],
    training_images: int,
    validation_images: int,
) -> EpochSeconds:
    """Return a function that interpolates the seconds of an epoch of any candidate."""
    (least, most), (light, heavy) = measured, step_times
    span = activations_per_mac(most) - activations_per_mac(least)

    def seconds(candidate: Candidate) -> float:
        """Interpolate by activations per multiply-add."""
        above_least = activations_per_mac(candidate) - activations_per_mac(least)
        position = min(1.0, max(0.0, above_least / span if span else 0.0))

        def per_mac(light_seconds: float, heavy_seconds: float) -> float:
            light_per_mac = (1 - position) * light_seconds / least.cost.macs
            return light_per_mac + position * heavy_seconds / most.cost.macs

        training = per_mac(light.training_seconds, heavy.training_seconds)
        validation = per_mac(light.validation_seconds, heavy.validation_seconds)
        return candidate.cost.macs * (training_images * training + validation_images * validation)

    return seconds
