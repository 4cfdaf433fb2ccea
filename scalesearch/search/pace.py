"""What a few steps of a network take, from which a whole search is foretold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data import Dataset, Split, load
from scalesearch.data.streaming import taken
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.nets import code_allowed
from scalesearch.recipe import Recipe
from scalesearch.training import Job, TrainingDiverged, train

STEPS = 4
"""Of an epoch of the measurement; its second epoch is measured, as the first warms up."""
VALIDATED = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """What a few steps took. ``training``, ``validation``: seconds for an image; ``peak_bytes``:
    most memory in use meanwhile."""

    training: float
    validation: float
    peak_bytes: int


def paced(
    experiment: Experiment,
    networks: Sequence[Architecture | Foreign],
    device: str,
    allow_code: bool,
) -> list[Pace]:
    """What a few steps of each network take on this worker."""
    recipe = experiment.recipe
    short = replace(
        recipe,
        epochs=2,
        warmup_epochs=0,
        learning_rate_rule="fixed",
        regularisation="fixed",
    )
    part = _part(load(experiment.data, experiment.seed, device=device), STEPS * recipe.batch_size)
    with code_allowed(allow_code):
        return [_pace(network, short, part.to(device), device) for network in networks]


def _pace(network: Architecture | Foreign, recipe: Recipe, images: Dataset, device: str) -> Pace:
    job = Job(architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network))
    try:
        epochs = list(train(job, images, device=device))
    except TrainingDiverged as error:  # a few steps at the full rate say nothing of a whole run
        epochs = list(error.epochs)
    if not epochs:
        raise SearchError(
            f"recipe: candidate {job.fingerprint} diverges in its first {STEPS} steps; lower "
            "recipe.learning_rate"
        )
    last = epochs[-1]
    training = 1 / last.images_per_second
    rest = last.seconds - training * len(images.train)
    return Pace(training, max(0.0, rest) / len(images.validation), last.peak_bytes)


def _part(images: Dataset, count: int) -> Dataset:
    return replace(
        images, train=_first(images.train, count), validation=_first(images.validation, VALIDATED)
    )


def _first(split: Split, count: int) -> Split:
    rows = torch.arange(min(count, len(split)))
    return Split(taken(split.images, rows), split.labels[: len(rows)])
