"""The job of training one network, and the fields that identify its result."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Recipe
from scalesearch.data.dataset import Dataset
from scalesearch.training.device import resolved_precision

NUMERICS_VERSION = 2
"""Raised when the same job begins to give other numbers, so no run mixes both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialWeights:
    """File of a trained network that a job starts from."""

    path: Path
    weights_hash: str
    """Hash of the file's weights (see ``network_file.weights_hash``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """Training of one network by a recipe, or of a range of its epochs.

    The recipe's schedule spans all its epochs, wherever a job stops.
    """

    architecture: Architecture | CustomModel
    recipe: Recipe
    seed: int
    """Random seed of initialisation, order of images, augmentation and dropout."""
    fingerprint: str
    """Fingerprint of the architecture."""
    start: int = 0
    """Epochs already recorded; not reported again, and repeated only if the checkpoint is lost."""
    stop: int | None = None
    """Last epoch of this job; None: the recipe's last."""
    checkpoint: Path | None = None
    """File that is read if it exists and written after every epoch; None: no file."""
    weights: InitialWeights | None = None
    """Initial weights, used by the recipe's ``transfer``; None: drawn from the seed."""

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.last_epoch <= self.recipe.epochs:
            raise ValueError(
                f"need 0 <= start <= stop <= {self.recipe.epochs} epochs, "
                f"got start={self.start}, stop={self.stop}"
            )
        if (self.weights is None) != (self.recipe.transfer is None):
            problem = "a transfer without weights" if self.recipe.transfer else "no transfer"
            raise ValueError(f"need both initial weights and recipe.transfer, got {problem}")

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch that this job trains, counted from 1."""
        return self.recipe.epochs if self.stop is None else self.stop

    def frozen_parts(self, epoch: int) -> frozenset[str]:
        """Return the parts of the network that are frozen in an epoch, counted from 1."""
        transfer, network = self.recipe.transfer, self.architecture
        if transfer is None or not transfer.freeze or isinstance(network, CustomModel):
            return frozenset()
        return transfer.frozen_parts(epoch, len(network.stages))


def identity_fields(
    job: TrainingJob, dataset: Dataset, device: torch.device | str
) -> dict[str, Any]:
    """Return all fields that change a run's numbers; its length does not.

    Fields of transfer are absent without a transfer, which keeps the identity of older runs.
    """
    recipe = asdict(job.recipe)
    if job.recipe.transfer is None:
        del recipe["transfer"]
    return {
        "version": NUMERICS_VERSION,
        "architecture": job.fingerprint,
        "data": dataset.fingerprint,
        "mirrors": dataset.allows_flip,
        "seed": job.seed,
        "device": torch.device(device).type,
        **{f"recipe.{name}": value for name, value in recipe.items()},
        "recipe.precision": resolved_precision(job.recipe.precision, device),
        **({} if job.weights is None else _initial_weights_fields(job.weights, dataset)),
    }


def _initial_weights_fields(weights: InitialWeights, dataset: Dataset) -> dict[str, Any]:
    """Return the hash of the initial weights and the statistics of the images."""
    return {
        "weights": weights.weights_hash,
        "mean": list(dataset.mean),
        "std": list(dataset.std),
    }


def identity(job: TrainingJob, dataset: Dataset, device: torch.device | str) -> str:
    """Return a hash of the identity fields: equal hashes give equal bits on the CPU."""
    document = json.dumps(
        identity_fields(job, dataset, device), sort_keys=True, separators=(",", ":")
    )
    return hashlib.blake2b(document.encode(), digest_size=16).hexdigest()
