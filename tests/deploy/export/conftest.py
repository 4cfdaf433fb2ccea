"""A small network trained on digits, for the tests that export it."""

import pytest
import torch

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.config.experiment import DataSpec
from scalesearch.config.recipe import Recipe
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.preparation import Preparation
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.deploy.export.sample_images import load_image_set
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train
from scalesearch.training.network_file import read_network, write_network

DIGIT_ARCHITECTURE = Architecture(
    stem=8,
    stages=(
        Stage(block="mbconv", expansion=4, kernel=3, stride=2, width=12, repeats=2, squeeze=4),
    ),
    head=24,
    resolution=16,
    stem_stride=1,
    in_channels=1,
    num_classes=10,
)
DIGITS = DataSpec(source="digits", pixels=16, train_samples=480)


@pytest.fixture(scope="session")
def network_file(tmp_path_factory):
    """Train the network for a few seconds and write it to a file."""
    folder = tmp_path_factory.mktemp("digits")
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    data, recipe = load_dataset(DIGITS, 0), Recipe(epochs=6, batch_size=16)
    job = TrainingJob(
        architecture=DIGIT_ARCHITECTURE,
        recipe=recipe,
        seed=0,
        fingerprint=fingerprint(DIGIT_ARCHITECTURE),
        checkpoint=folder / "checkpoint",
    )
    list(train(job, data, device="cpu"))
    transform = input_transform(data, recipe, DIGIT_ARCHITECTURE.resolution)
    preparation = Preparation(
        pixels=DIGIT_ARCHITECTURE.resolution,
        stored=data.pixels,
        mean=data.mean,
        std=data.std,
        zoom=transform.zoom,
        class_names=data.class_names,
    )
    network = load_trained_model(job, data, "cpu")
    torch.set_num_threads(threads_before)
    return write_network(folder / "reader.safetensors", network, preparation, name="reader")


@pytest.fixture(scope="session")
def saved_network(network_file):
    return read_network(network_file)


@pytest.fixture(scope="session")
def digit_images(saved_network):
    """Digits, few enough for training within a test."""
    spec = DataSpec(source="digits", train_samples=320, validation_samples=100)
    return load_image_set(saved_network, spec, seed=0)
