"""A data set of two simple patterns and a network of two blocks; an epoch takes milliseconds."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.dataset import Dataset, Split
from scalesearch.training.job import TrainingJob
from scalesearch.training.network_file import write_network

sys.path.append(str(Path(__file__).parent))


def split(count: int, seed: int) -> Split:
    """Noise, brighter in the upper half for class 0 and in the lower half for class 1."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 128, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    images[labels == 0, :, :4] += 64
    images[labels == 1, :, 4:] += 64
    return Split(images, labels)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return Dataset(
        train=split(70, seed=0),
        validation=split(40, seed=1),
        class_names=("upper", "lower"),
        fingerprint="two-patterns",
        allows_flip=True,
        mean=(0.37, 0.37, 0.37),
        std=(0.2, 0.2, 0.2),
    )


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(
        stem=8,
        stages=(Stage(2, 8, expansion=2), Stage(1, 16, stride=2, expansion=2)),
        head=32,
        resolution=9,  # not the images' size, so that resizing takes part
        stem_stride=1,
        num_classes=2,
    )


@pytest.fixture(scope="session")
def job(architecture: Architecture) -> TrainingJob:
    recipe = Recipe(
        epochs=3,
        batch_size=16,
        learning_rate=0.05,
        augmentation=Augmentation(crop=0.125),
        dropout=0.2,
        drop_connect=0.5,
        threads=1,
    )
    return TrainingJob(
        architecture=architecture, recipe=recipe, seed=7, fingerprint=fingerprint(architecture)
    )


@pytest.fixture
def pretrained(architecture: Architecture, tmp_path: Path) -> Path:
    """The file of a network with three classes of its own."""
    from transfers import some_network

    network = some_network(replace(architecture, num_classes=3))
    return write_network(tmp_path / "before.safetensors", network)
