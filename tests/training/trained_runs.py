"""Helpers that make and compare runs."""

import io
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalesearch.config.recipe import Augmentation, ProgressiveResizing
from scalesearch.data.dataset import Dataset
from scalesearch.results.run_folder import Epoch
from scalesearch.training.checkpoint import HASH_BYTES
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train

EVERYTHING = {
    "epochs": 5,
    "ema": 0.9,
    "schedule": "plateau",
    "plateau_patience": 0,
    "decay_rate": 0.5,
    "patience": 3,
    "clip_norm": 0.5,
    "micro_batch": 8,
    "augmentation": Augmentation(
        crop=0.125, rotation=10, jitter=(0.2, 0.2, 0.2, 0.1), erasing=0.5, mixup=0.2, cutmix=1.0
    ),
    "progressive": ProgressiveResizing(start=0.6, regularisation=0.3),
}
"""All at once, in addition to the dropout and drop-connect of the tests' recipe."""


def epochs_of(job: TrainingJob, dataset: Dataset) -> list[Epoch]:
    return list(train(job, dataset, device="cpu"))


def numbers(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    """All that a repetition must give again: not the times, the memory and what comes of them."""
    plain = {"seconds": 0, "images_per_second": 0, "peak_bytes": 0, "utilisation": 0}
    return [astuple(replace(epoch, **plain)) for epoch in epochs]


def document(path: Path) -> dict[str, Any]:
    return torch.load(io.BytesIO(path.read_bytes()[HASH_BYTES:]), weights_only=True)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a checkpoint by their paths, epochs' measurements left out."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            if not name.endswith("history"):
                yield from flat(inner, f"{name}.{key}")
    else:
        yield name, value


def assert_same_bits(one: Path, other: Path) -> None:
    ours, theirs = dict(flat(document(one))), dict(flat(document(other)))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, Tensor):
            assert value.dtype == theirs[name].dtype, name
            assert torch.equal(value, theirs[name]), name
        else:
            assert value == theirs[name], name
