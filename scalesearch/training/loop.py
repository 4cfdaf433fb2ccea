"""The training loop: a generator of epochs."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scalesearch.architectures import Foreign
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data import (
    Dataset,
    drawn,
    epoch_order,
    evaluation_batches,
    prepared,
    training_batches,
    view,
)
from scalesearch.errors import DataError, ScaleSearchError, SearchError
from scalesearch.nets import build, initialise, made
from scalesearch.streams import stream
from scalesearch.training.checkpoint import restored, write_checkpoint
from scalesearch.training.job import Epoch, Job, traits
from scalesearch.training.optimisers import learning_rate, optimiser

EVALUATION_BATCH = 256


class TrainingDiverged(ScaleSearchError):
    """A loss that is no finite number; ``epochs`` are those that ended before it."""

    def __init__(self, message: str, epochs: Sequence[Epoch]) -> None:
        super().__init__(message)
        self.epochs = tuple(epochs)


def train(job: Job, dataset: Dataset, *, device: torch.device | str) -> Iterator[Epoch]:
    """Yield the job's epochs after ``job.start``, each when it has ended and is checkpointed.

    What the checkpoint already holds is yielded from its history, so that epochs which ended but
    were never recorded are not lost; then training goes on. On the CPU an interrupted run, an
    abandoned generator or another process change no bit of the result.

    Raises DataError where the network does not fit the images, SearchError for a checkpoint of
    another run, TrainingDiverged when a loss is not finite.
    """
    device = torch.device(device)
    _require_fit(job, dataset)
    dataset = replace(
        dataset, train=dataset.train.to(device), validation=dataset.validation.to(device)
    )
    network = _initialised(job, device)
    optimizer = optimiser(network, job.recipe)
    path, ours = job.checkpoint, traits(job, dataset, device)
    history = restored(path, ours, network, optimizer) if path else []
    yield from history[job.start : job.last]
    for index in range(len(history) + 1, job.last + 1):
        with _reproducible(job, index, device):
            epoch = _epoch(job, dataset, network, optimizer, index, device)
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.loss)):
            raise TrainingDiverged(
                f"epoch {index} of {job.fingerprint}, seed {job.seed}: need finite losses, got "
                f"{epoch.train_loss} in training and {epoch.loss} in validation; "
                f"lower the learning rate ({job.recipe.learning_rate:g}) or warm up longer",
                history,
            )
        history.append(epoch)
        if path:
            write_checkpoint(path, ours, history, network, optimizer)
        if index > job.start:
            yield epoch


def evaluated(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over the batches, in evaluation mode."""
    network.eval()
    losses, hits, images = [], [], 0
    with torch.inference_mode():
        for images_BCHW, labels_B in batches:
            logits_BK = network(images_BCHW)
            losses.append(F.cross_entropy(logits_BK, labels_B, reduction="sum"))
            hits.append((logits_BK.argmax(1) == labels_B).sum())
            images += len(labels_B)
        return _total(losses) / images, _total(hits) / images


def _epoch(
    job: Job,
    dataset: Dataset,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    index: int,
    device: torch.device,
) -> Epoch:
    began = time.perf_counter()
    train_loss, images = _trained(job, dataset, network, optimizer, index, device)
    trained = time.perf_counter()
    loss, accuracy = evaluated(
        network,
        evaluation_batches(
            dataset.validation,
            view(dataset, job.recipe, job.architecture.resolution),
            batch_size=EVALUATION_BATCH,
            resolution=job.architecture.resolution,
            device=device,
        ),
    )
    return Epoch(
        index=index,
        train_loss=train_loss,
        loss=loss,
        accuracy=accuracy,
        seconds=time.perf_counter() - began,
        images_per_second=images / (trained - began),
    )


def _trained(
    job: Job,
    dataset: Dataset,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    index: int,
    device: torch.device,
) -> tuple[float, int]:
    """Take one epoch's steps; the mean loss, and how many images were seen.

    Nothing here waits for the device: losses stay tensors until the epoch is over.
    """
    recipe, resolution = job.recipe, job.architecture.resolution
    seed, count = stream(job.seed, "data", index), len(dataset.train)
    order = epoch_order(count, recipe.batch_size, seed)
    draws, seen = drawn(recipe.augmentation, count, seed), view(dataset, recipe, resolution)
    batches = training_batches(dataset.train, order, draws, device)
    steps = len(order)
    network.train()
    losses, images = [], 0
    for step, (stored, labels_B, drawn_B) in enumerate(batches, start=(index - 1) * steps):
        rate = learning_rate(recipe, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        images_BCHW, targets = prepared(stored, labels_B, drawn_B, seen, resolution)
        loss = F.cross_entropy(
            network(images_BCHW), targets, label_smoothing=recipe.label_smoothing
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.detach() * len(labels_B))
        images += len(labels_B)
    return _total(losses) / images, images


def _total(parts: Sequence[Tensor]) -> float:
    return float(torch.stack(list(parts)).double().sum())


def _initialised(job: Job, device: torch.device) -> nn.Module:
    """The job's network on the device, built without a draw from the global generator."""
    recipe, seed = job.recipe, stream(job.seed, "initialisation", job.fingerprint)
    network: nn.Module
    if isinstance(job.architecture, Foreign):
        network = _foreign(job, job.architecture, seed).to(device)
    else:
        with torch.device("meta"):
            network = build(
                job.architecture,
                dropout=recipe.dropout,
                drop_connect=recipe.drop_connect,
                norm_momentum=recipe.norm_momentum,
            )
        network.to_empty(device=device)
        initialise(network, torch.Generator().manual_seed(seed), recipe.initialisation)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _foreign(job: Job, network: Foreign, seed: int) -> nn.Module:
    """The network that the user's code makes, with the weights and the regularisation it brings.

    Raises SearchError where the code has changed since the job was planned.
    """
    recipe = job.recipe
    if recipe.dropout or recipe.drop_connect:
        raise SearchError(
            f"recipe: need dropout 0 and drop_connect 0 for {network}, whose code brings its own, "
            f"got {recipe.dropout:g} and {recipe.drop_connect:g}"
        )
    if (now := fingerprint(network)) != job.fingerprint:
        raise SearchError(
            f"network {job.fingerprint}: its code now makes another ({now}) of {network}; put the "
            "code back, or search in another folder"
        )
    return made(network, seed)


@contextmanager
def _reproducible(job: Job, index: int, device: torch.device) -> Iterator[None]:
    """One epoch's threads and dropout stream; the caller's are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(job.recipe.threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(stream(job.seed, "dropout", index))
            yield
    finally:
        torch.set_num_threads(threads)


def _require_fit(job: Job, dataset: Dataset) -> None:
    network, data = job.architecture, dataset
    wanted, given = (network.in_channels, network.num_classes), (data.channels, data.num_classes)
    if wanted != given:
        raise DataError(
            f"network {job.fingerprint}: need images of {wanted[0]} channels in {wanted[1]} "
            f"classes, got {given[0]} channels in {given[1]} classes; "
            "set in_channels and num_classes to the data's"
        )
