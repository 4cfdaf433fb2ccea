"""Choice of the micro-batch of a whole study, before training begins."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.memory import training_memory
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.streaming import fits_in_memory
from scalesearch.training.cuda_graphs import WARM_UP_STEPS
from scalesearch.training.device import AUTOCAST_DTYPES, resolved_precision
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train_together
from scalesearch.training.trainer import EVALUATION_BATCH_SIZE


def fitting_micro_batch(
    networks: Sequence[Architecture | CustomModel],
    recipe: Recipe,
    dataset: Dataset,
    *,
    device: torch.device | str,
    concurrent_runs: int = 1,
) -> int | None:
    """Return the largest micro-batch with which all networks fit.

    ``concurrent_runs``: runs of a network that share the device. All networks get the same value,
    because batch norm sees the micro-batch and networks with different ones are not comparable.
    None means the whole batch. On CUDA the largest network takes real steps. On a CPU, where an
    attempt might kill the process, its memory is estimated and must be less than half of the free
    memory (a custom model cannot be estimated and is assumed to fit).

    Raises OutOfMemory if not even single images fit.
    """
    torch_device, max_size = torch.device(device), recipe.micro_batch or recipe.batch_size
    largest = max(networks, key=lambda network: cost(network).activations)
    for size in _divisors(max_size):
        micro_batch = recipe.micro_batch if size == max_size else size
        if _fits_memory(
            largest,
            replace(recipe, micro_batch=micro_batch),
            dataset,
            torch_device,
            concurrent_runs,
        ):
            return micro_batch
    raise OutOfMemory(
        f"network {fingerprint(largest)}: need memory for one image at {largest.resolution} "
        f"pixels on {torch_device}, got too little; take a smaller baseline or budget"
    )


def _divisors(number: int) -> Iterator[int]:
    """Yield the divisors of a number, the largest first."""
    yield from (size for size in range(number, 0, -1) if number % size == 0)


def _fits_memory(
    network: Architecture | CustomModel,
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    concurrent_runs: int,
) -> bool:
    if device.type == "cuda":
        return _trains_without_overflow(network, recipe, dataset, device, concurrent_runs)
    if isinstance(network, CustomModel):
        return True
    optimizer = "adamw" if recipe.optimizer == "adam" else recipe.optimizer
    is_half_precision = (
        resolved_precision(recipe.precision, device) in AUTOCAST_DTYPES
        and recipe.precision != "mixed"
    )
    size = recipe.micro_batch or recipe.batch_size
    memory = training_memory(
        network, size, optimizer=optimizer, value_bytes=2 if is_half_precision else 4
    ).total
    return fits_in_memory(concurrent_runs * memory, device)


def _trains_without_overflow(
    network: Architecture | CustomModel,
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    concurrent_runs: int,
) -> bool:
    """Return whether an epoch of black images fits into memory.

    It is long enough to record the step as a graph, and a batch has two passes if the recipe's
    batches have several, so the gradients of the first are there in the second.
    """
    size = min(recipe.batch_size, 2 * (recipe.micro_batch or recipe.batch_size))
    train, validation = (
        _black_split(n, dataset) for n in (size * (WARM_UP_STEPS + 2), EVALUATION_BATCH_SIZE)
    )
    short_recipe = replace(
        recipe,
        epochs=1,
        warmup_epochs=0,
        batch_size=size,
        patience=None,
        learning_rate_rule="fixed",
        regularisation="fixed",
    )
    job = TrainingJob(
        architecture=network, recipe=short_recipe, seed=0, fingerprint=fingerprint(network)
    )
    try:
        black_dataset = replace(dataset, train=train, validation=validation)
        jobs = [replace(job, seed=seed) for seed in range(concurrent_runs)]
        list(train_together(jobs, [black_dataset] * concurrent_runs, device=device))
    except OutOfMemory:
        return False
    except TrainingDiverged:
        return True  # memory was enough; the loss of black images does not matter
    return True


def _black_split(count: int, dataset: Dataset) -> Split:
    """Return black images of the data set's shape."""
    shape = (count, dataset.channels, dataset.pixels, dataset.pixels)
    return Split(torch.zeros(shape, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64))
