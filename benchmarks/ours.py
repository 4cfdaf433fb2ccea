"""What of scalesearch is timed: its trainer, its step and its batches, by their public names."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from scalesearch.architectures import Architecture, fingerprint
from scalesearch.data import Dataset, drawn, epoch_order, prepared, training_batches, view
from scalesearch.nets import build
from scalesearch.recipe import Recipe
from scalesearch.training import Job, train
from scalesearch.training.optimisers import optimiser


def job(architecture: Architecture, recipe: Recipe, seed: int = 0) -> Job:
    return Job(
        architecture=architecture, recipe=recipe, seed=seed, fingerprint=fingerprint(architecture)
    )


def epochs(job: Job, dataset: Dataset, device: torch.device) -> Callable[[], int]:
    """Each call trains one epoch more, and validates."""
    trained = train(job, dataset, device=device)

    def turn() -> int:
        next(trained)
        batch = min(job.recipe.batch_size, len(dataset.train))
        return len(dataset.train) // batch * batch

    return turn


def steps(job: Job, dataset: Dataset, device: torch.device, count: int) -> Callable[[], int]:
    """Each call takes ``count`` steps, augmentation included, on one resident batch."""
    resolution = job.architecture.resolution
    network = build(job.architecture, norm_momentum=job.recipe.norm_momentum)
    network.to(device, memory_format=torch.channels_last).train()
    optimizer = optimiser(network, job.recipe)
    seen = view(dataset, job.recipe, resolution)
    order = epoch_order(len(dataset.train), job.recipe.batch_size, 0)[:1]
    draws = drawn(job.recipe.augmentation, len(dataset.train), 0)
    images, labels, rows = next(training_batches(dataset.train, order, draws, device))

    def turn() -> int:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            shown, targets = prepared(images, labels, rows, seen, resolution)
            F.cross_entropy(network(shown), targets).backward()
            optimizer.step()
        return count * len(labels)

    return turn


def batches(job: Job, dataset: Dataset, device: torch.device) -> Callable[[], int]:
    """Each call makes the batches of one epoch, ready for the network, its draws included."""
    resolution, recipe = job.architecture.resolution, job.recipe
    seen, here = view(dataset, recipe, resolution), dataset.train.to(device)
    epoch = 0

    def turn() -> int:
        nonlocal epoch
        epoch += 1
        order = epoch_order(len(here), recipe.batch_size, epoch)
        draws = drawn(recipe.augmentation, len(here), epoch)
        for images, labels, rows in training_batches(here, order, draws, device):
            prepared(images, labels, rows, seen, resolution)
        return order.numel()

    return turn
