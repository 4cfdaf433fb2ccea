"""Whether speed costs accuracy: the plain loop and ours, trained from one recipe on real images."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ours
import plain
import torch
from torch import nn
from torch.utils.data import DataLoader

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.seeding import stream_seed
from scalesearch.training.loop import train


@dataclass(frozen=True, slots=True)
class Pair:
    """Validation accuracies and seconds of one seed: same images, same first weights."""

    seed: int
    ours: float
    plain: float
    ours_seconds: float
    plain_seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Means and standard deviations over seeds, and the mean difference with its standard error."""

    ours: float
    ours_sd: float
    plain: float
    plain_sd: float
    difference: float
    standard_error: float

    @property
    def within_one_sd(self) -> bool:
        """Whether ours is no further below the plain loop than that varies from seed to seed."""
        return self.difference >= -self.plain_sd


def pair(
    architecture: Architecture, recipe: Recipe, dataset: Dataset, seed: int, device: torch.device
) -> Pair:
    began = time.perf_counter()
    job = ours.job(architecture, recipe, seed)
    last = list(train(job, dataset, device=device))[-1]
    between = time.perf_counter()
    theirs = _plainly_trained(architecture, recipe, dataset, seed, device)
    end = time.perf_counter()
    return Pair(seed, last.accuracy, theirs, between - began, end - between)


def comparison(pairs: Sequence[Pair]) -> Comparison:
    """Of at least two seeds."""
    mine, theirs = [pair.ours for pair in pairs], [pair.plain for pair in pairs]
    differences = [a - b for a, b in zip(mine, theirs, strict=True)]
    return Comparison(
        ours=statistics.mean(mine),
        ours_sd=statistics.stdev(mine),
        plain=statistics.mean(theirs),
        plain_sd=statistics.stdev(theirs),
        difference=statistics.mean(differences),
        standard_error=statistics.stdev(differences) / len(pairs) ** 0.5,
    )


def _plainly_trained(
    architecture: Architecture, recipe: Recipe, dataset: Dataset, seed: int, device: torch.device
) -> float:
    """Accuracy after the last epoch of the plain loop."""
    torch.manual_seed(seed)
    torch.set_num_threads(recipe.threads)
    network = plain.EfficientNet(architecture, recipe.norm_momentum)
    plain.copy_weights(_first_weights(architecture, recipe, seed), network)
    network.to(device)
    train_loader, validation_loader = _loaders(dataset, recipe)
    optimizer = plain.optimiser(network, recipe)
    scheduler = plain.scheduler(optimizer, recipe, len(train_loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for _ in range(recipe.epochs):
        plain.train_one_epoch(network, train_loader, criterion, optimizer, scheduler, device)
    return plain.accuracy(network, validation_loader, device)


def _first_weights(architecture: Architecture, recipe: Recipe, seed: int) -> nn.Module:
    """What ours starts from, too."""
    network = build_model(architecture)
    own = stream_seed(seed, "initialisation", fingerprint(architecture))
    initialise(network, torch.Generator().manual_seed(own), recipe.initialisation)
    return network


def _loaders(dataset: Dataset, recipe: Recipe) -> Iterator[plain.Loader]:
    shown = plain.training_transform(dataset, recipe.augmentation.crop)
    images = plain.PillowImages(dataset.train, shown)
    yield DataLoader(images, batch_size=recipe.batch_size, shuffle=True, drop_last=True)
    images = plain.PillowImages(dataset.validation, plain.evaluation_transform(dataset))
    yield DataLoader(images, batch_size=256)
