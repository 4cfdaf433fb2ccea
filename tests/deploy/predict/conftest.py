"""A small trained network, its file, and the digits it was trained and is tested on as PNG."""

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
class Digits:
    """``folder``: train/ and test/, each with a folder of PNG files for each digit. ``network``:
    the file. ``logits``, ``labels``: of the test images as training finds them, in their order."""

    folder: Path
    network: Path
    dataset: Dataset
    test: Split
    preparation: Preparation
    logits: Tensor
    labels: Tensor

    @property
    def tested(self) -> list[Path]:
        return sorted((self.folder / "test").rglob("*.png"))


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Digits:
    home = tmp_path_factory.mktemp("digits")
    folder = home / "images"
    found = load_digits()
    for number, (image, label) in enumerate(zip(found.images, found.target, strict=True)):
        part = folder / ("test" if number % 4 == 0 else "train") / str(label)
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype("uint8")).save(part / f"{number:04d}.png")
    spec = DataSpec(source=f"imagefolder:{folder}", pixels=12, train_samples=600)
    dataset = load_dataset(spec, 0, home / "cache")
    network = baseline(
        "efficientnet_b0", width=0.25, depth=0.3, resolution=14, stem_stride=1,
        in_channels=1, num_classes=10,
    )  # fmt: skip
    recipe = replace(preset("fast"), epochs=4, batch_size=32, evaluation_zoom=1.2)
    job = TrainingJob(
        architecture=network, recipe=recipe, seed=0, fingerprint=fingerprint(network),
        checkpoint=home / "checkpoint",
    )  # fmt: skip
    for _ in train(job, dataset, device="cpu"):
        pass
    model = load_trained_model(job, dataset, "cpu")
    seen = input_transform(dataset, recipe, network.resolution)
    test = load_test_split(spec, home / "cache")
    logits_NK, labels_N = logits(model, test, seen, network.resolution, "cpu")
    preparation = Preparation(
        pixels=network.resolution, stored=dataset.pixels, zoom=seen.zoom, mean=seen.mean,
        std=seen.std, class_names=dataset.class_names,
    )  # fmt: skip
    path = write_network(home / "network.safetensors", model, preparation, name="digits")
    torch.manual_seed(0)
    return Digits(folder, path, dataset, test, preparation, logits_NK, labels_N)


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """picture(seed, size): an image in colour, different from all others."""

    def make(seed: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
        shape = (size[1], size[0], 3)
        return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))

    return make
