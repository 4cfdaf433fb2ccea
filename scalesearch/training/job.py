"""What is trained, what comes of it epoch by epoch, and what identifies a run."""

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
from scalesearch.results.run_folder import Epoch as Epoch
from scalesearch.training.device import resolved_precision

NUMERICS_VERSION = 2
"""Of the numbers: raised when the same job begins to give others, so that no run mixes both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialWeights:
    """The file of a trained network that a job starts from, and the digest of what is in it (see
    ``weights.digest``)."""

    path: Path
    weights_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """Train a network up to the epoch ``stop`` (None: to the recipe's end).

    ``fingerprint``: the architecture's. ``start``: epochs that are already on record; they are
    not reported again, and trained again only where the checkpoint is lost. ``checkpoint``: the
    file that is read if it exists and written after every epoch; None keeps nothing. ``weights``:
    what the network starts from, by the recipe's ``transfer``; None: drawn from the seed.
    The recipe's schedule spans all its epochs, wherever a job stops.
    """

    architecture: Architecture | CustomModel
    recipe: Recipe
    seed: int
    fingerprint: str
    start: int = 0
    stop: int | None = None
    checkpoint: Path | None = None
    weights: InitialWeights | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.last_epoch <= self.recipe.epochs:
            raise ValueError(
                f"need 0 <= start <= stop <= {self.recipe.epochs} epochs, "
                f"got start={self.start}, stop={self.stop}"
            )
        if (self.weights is None) != (self.recipe.transfer is None):
            problem = "a transfer without weights" if self.recipe.transfer else "no transfer"
            raise ValueError(f"need weights to start from and recipe.transfer, got {problem}")

    @property
    def last_epoch(self) -> int:
        """Index of the last epoch that this job trains."""
        return self.recipe.epochs if self.stop is None else self.stop


def traits(job: TrainingJob, dataset: Dataset, device: torch.device | str) -> dict[str, Any]:
    """All that changes a run's numbers, by name; how far the run goes is not among it.

    Nor is what a run without a transfer has not got, so that it is known as it always was.
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
    """What is taken over from a trained network: its weights and perhaps its statistics."""
    return {
        "weights": weights.weights_hash,
        "mean": list(dataset.mean),
        "std": list(dataset.std),
    }


def identity(job: TrainingJob, dataset: Dataset, device: torch.device | str) -> str:
    """A hash of the job's traits: equal identities give equal bits on the CPU."""
    document = json.dumps(traits(job, dataset, device), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(document.encode(), digest_size=16).hexdigest()
