"""Helpers that make pretrained networks, and find the parts that changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture
from scalesearch.config.transfer_spec import Transfer
from scalesearch.data.dataset import Dataset
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import Network, build_model
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import InitialWeights, TrainingJob
from scalesearch.training.job_network import build_initial_model
from scalesearch.training.loop import train
from scalesearch.training.network_file import read_network, weights_hash

EPOCHS = 4


def some_network(architecture: Architecture, seed: int = 0, **options: Any) -> Network:
    """Weights and statistics that no new network has."""
    network = build_model(architecture, **options)
    generator = torch.Generator().manual_seed(seed)
    initialise(network, generator)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.rand(tensor.shape, generator=generator) / 10)
    return network.eval()


def going_on(
    job: TrainingJob, path: Path, kept: Transfer | None = None, **changes: Any
) -> TrainingJob:
    known = InitialWeights(path=path, weights_hash=weights_hash(read_network(path).network))
    changes = {"epochs": EPOCHS, "transfer": kept or Transfer(), **changes}
    recipe = replace(job.recipe, **changes)
    return replace(job, recipe=recipe, weights=known)


def tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def after(job: TrainingJob, dataset: Dataset, epoch: int, folder: Path) -> dict[str, Tensor]:
    """The run's own tensors after an epoch."""
    until = replace(job, stop=epoch, checkpoint=folder / f"after-{epoch}")
    if epoch == 0:
        return tensors(build_initial_model(job, torch.device("cpu")))
    list(train(until, dataset, device="cpu"))
    return tensors(load_trained_model(until, dataset, "cpu"))


def moved(before: dict[str, Tensor], now: dict[str, Tensor]) -> set[str]:
    """The parts that have a tensor whose bits changed."""
    different = {name for name in now if not torch.equal(before[name], now[name])}
    return {part_of(name) for name in different}


def part_of(name: str) -> str:
    first, second, *_ = name.split(".")
    return f"stage{int(second) + 1}" if first == "stages" else first
