"""A small network trained on digits, its file, and the digits as PNG files."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.config.experiment import DataSpec
from scalesearch.config.reading import preset
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.preparation import Preparation
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.training.inference import load_trained_model, logits
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train
from scalesearch.training.network_file import write_network


@dataclass(frozen=True)
class TrainedDigits:
    """A trained network and its images.

    ``folder`` holds train/ and test/, each with a folder of PNG files for each digit. ``logits``
    and ``labels`` are those that training computes for the test images, in the same order.
    """

    folder: Path
    network_file: Path
    dataset: Dataset
    test_split: Split
    preparation: Preparation
    logits: Tensor
    labels: Tensor

    @property
    def test_image_paths(self) -> list[Path]:
        return sorted((self.folder / "test").rglob("*.png"))


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory) -> TrainedDigits:
    root = tmp_path_factory.mktemp("digits")
    folder = root / "images"
    samples = load_digits()
    for number, (image, label) in enumerate(zip(samples.images, samples.target, strict=True)):
        class_folder = folder / ("test" if number % 4 == 0 else "train") / str(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype("uint8")).save(class_folder / f"{number:04d}.png")
    spec = DataSpec(source=f"imagefolder:{folder}", pixels=12, train_samples=600)
    dataset = load_dataset(spec, 0, root / "cache")
    network = baseline(
        "efficientnet_b0", width=0.25, depth=0.3, resolution=14, stem_stride=1,
        in_channels=1, num_classes=10,
    )  # fmt: skip
    recipe = replace(preset("fast"), epochs=4, batch_size=32, evaluation_zoom=1.2)
    job = TrainingJob(
        architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network),
        checkpoint=root / "checkpoint",
    )  # fmt: skip
    for _ in train(job, dataset, device="cpu"):
        pass
    model = load_trained_model(job, dataset, "cpu")
    transform = input_transform(dataset, recipe, network.resolution)
    test = load_test_split(spec, root / "cache")
    logits_NK, labels_N = logits(model, test, transform, network.resolution, "cpu")
    preparation = Preparation(
        pixels=network.resolution, stored=dataset.pixels, zoom=transform.zoom, mean=transform.mean,
        std=transform.std, class_names=dataset.class_names,
    )  # fmt: skip
    network_file = write_network(root / "network.safetensors", model, preparation, name="digits")
    torch.manual_seed(0)
    return TrainedDigits(folder, network_file, dataset, test, preparation, logits_NK, labels_N)


@pytest.fixture
def make_image() -> Callable[..., Image.Image]:
    """Function that draws a colour image; another seed gives another image."""

    def image_of_seed(seed: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
        shape = (size[1], size[0], 3)
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))

    return image_of_seed
