"""What of scalesearch is timed: its trainer, its step and its batches, by their public names."""

from collections.abc import Callable, Sequence
from itertools import islice

import torch

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.augmentation.pipeline import training_inputs
from scalesearch.data.batches import epoch_order, training_batches
from scalesearch.data.dataset import Dataset
from scalesearch.training.cuda_graphs import graphed_step
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train, train_together
from scalesearch.training.step import StepInputs, TrainingStep
from scalesearch.training.trainer import start_run


def job(architecture: Architecture, recipe: Recipe, seed: int = 0) -> TrainingJob:
    return TrainingJob(
        architecture=architecture, recipe=recipe, seed=seed, fingerprint=fingerprint(architecture)
    )


def epochs(job: TrainingJob, dataset: Dataset, device: torch.device) -> Callable[[], int]:
    """Each call trains one epoch more, and validates."""
    trained = train(job, dataset, device=device)

    def turn() -> int:
        next(trained)
        return _images(job, dataset)

    return turn


def _images(job: TrainingJob, dataset: Dataset) -> int:
    """What an epoch trains on: what fills no batch is left out."""
    batch = min(job.recipe.batch_size, len(dataset.train))
    return len(dataset.train) // batch * batch


def steps(
    job: TrainingJob, dataset: Dataset, device: torch.device, count: int
) -> Callable[[], int]:
    """Each call takes ``count`` steps, augmentation included, on one resident batch."""
    recipe, resolution = job.recipe, job.architecture.resolution
    run = start_run(job, dataset, device)
    run.network.train()
    step = TrainingStep(
        network=run.wrapped_network,
        unwrapped=run.network,
        optimizer=run.optimizer,
        ema=run.ema,
        scaler=run.scaler,
        recipe=recipe,
        transform=input_transform(dataset, recipe, resolution),
        resolution=resolution,
        strength=1.0,
        precision=run.precision,
    )
    take = graphed_step(step, device)
    order = epoch_order(len(dataset.train), recipe.batch_size, 0)[:1]
    draws = epoch_draws(recipe.augmentation, len(dataset.train), 0)
    images, labels, rows = next(training_batches(dataset.train, order, draws, device))
    inputs = StepInputs(images, labels, rows, torch.zeros((), device=device))

    def turn() -> int:
        for _ in range(count):
            take(inputs)
        return count * len(labels)

    return turn


def together(
    jobs: Sequence[TrainingJob], dataset: Dataset, device: torch.device
) -> Callable[[], int]:
    """Each call trains one epoch more of every job, all of them at once."""
    trained = train_together(jobs, [dataset] * len(jobs), device=device)

    def turn() -> int:
        for _ in islice(trained, len(jobs)):
            pass
        return len(jobs) * _images(jobs[0], dataset)

    return turn


def in_turn(
    jobs: Sequence[TrainingJob], dataset: Dataset, device: torch.device
) -> Callable[[], int]:
    """Each call trains one epoch more of every job, one after the other."""
    turns = [epochs(job, dataset, device) for job in jobs]
    return lambda: sum(turn() for turn in turns)


def batches(job: TrainingJob, dataset: Dataset, device: torch.device) -> Callable[[], int]:
    """Each call makes the batches of one epoch, ready for the network, its draws included."""
    resolution, recipe = job.architecture.resolution, job.recipe
    seen, here = input_transform(dataset, recipe, resolution), dataset.train.to(device)
    epoch = 0

    def turn() -> int:
        nonlocal epoch
        epoch += 1
        order = epoch_order(len(here), recipe.batch_size, epoch)
        draws = epoch_draws(recipe.augmentation, len(here), epoch)
        for images, labels, rows in training_batches(here, order, draws, device):
            training_inputs(images, labels, rows, seen, resolution)
        return order.numel()

    return turn
