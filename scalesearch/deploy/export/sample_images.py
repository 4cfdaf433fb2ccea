"""Real images for an exported network: to calibrate, to compare and to test."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scalesearch.config.experiment import DataSpec
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.batches import evaluation_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.decoding import OnImageProgress
from scalesearch.data.preparation import Preparation
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import ExportError
from scalesearch.training.network_file import SavedNetwork

IMAGES_PER_PASS = 32
"""Images in one pass."""

PARITY_IMAGES = 64
"""Real images on which an export is compared with its network."""

CALIBRATION_IMAGES = 512
"""Most validation images from which the ranges of int8 are measured."""

IMAGES_PER_RANGE = 8
"""Images whose extremes count as one when ranges are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """A data set with a network's preparation.

    ``test``: images never used in training, calibration or any choice.
    """

    dataset: Dataset
    test: Split
    view: InputTransform
    resolution: int

    def batches(self, split: Split, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images (B, C, R, R) and labels of a split, or of its first ``limit``."""
        images_left = len(split) if limit is None else min(limit, len(split))
        for images, labels in evaluation_batches(
            split, self.view, batch_size=IMAGES_PER_PASS, resolution=self.resolution, device="cpu"
        ):
            yield images[:images_left].contiguous(), labels[:images_left]
            images_left -= len(images)
            if images_left <= 0:
                return

    def parity_batches(self) -> list[Tensor]:
        """Return the validation images on which an export is compared."""
        return [images for images, _ in self.batches(self.dataset.validation, PARITY_IMAGES)]

    def calibration_batches(self) -> Iterator[Tensor]:
        """Return the validation images from which ranges are measured, a few at a time."""
        for images, _ in self.batches(self.dataset.validation, CALIBRATION_IMAGES):
            yield from torch.split(images, IMAGES_PER_RANGE)


def require_preparation(saved_network: SavedNetwork) -> Preparation:
    """Return the network's preparation. Raises ExportError if its file has none."""
    if saved_network.preparation is None:
        raise ExportError(
            f"{saved_network.name or 'network'}: need a preparation, which says how an image "
            "becomes the input, got none in its file; leave --data out, or write the file with one"
        )
    return saved_network.preparation


def load_image_set(
    saved_network: SavedNetwork, spec: DataSpec, seed: int, progress: OnImageProgress | None = None
) -> ImageSet:
    """Load a data set for the network; ``spec.pixels`` follows the network.

    Raises ExportError for images of other classes or channels than the network's.
    """
    preparation = require_preparation(saved_network)
    network_spec = DataSpec(
        source=spec.source,
        train_samples=spec.train_samples,
        validation_samples=spec.validation_samples,
        pixels=preparation.stored,
    )
    dataset = load_dataset(network_spec, seed, progress=progress)
    dataset_classes, network_classes = dataset.class_names, preparation.class_names
    if network_classes and dataset_classes != network_classes:
        raise ExportError(
            f"--data {spec.source}: need the network's {len(network_classes)} classes "
            f"({', '.join(network_classes[:4])}, ...), got {len(dataset_classes)} "
            f"({', '.join(dataset_classes[:4])}, ...)"
        )
    if (dataset.num_classes, dataset.channels) != (
        saved_network.architecture.num_classes,
        saved_network.architecture.in_channels,
    ):
        raise ExportError(
            f"--data {spec.source}: need images of {saved_network.architecture.in_channels} "
            f"channels in {saved_network.architecture.num_classes} classes, got "
            f"{dataset.channels} channels and {dataset.num_classes} classes"
        )
    test = load_test_split(network_spec, progress=progress)
    return ImageSet(dataset, test, preparation.view(), preparation.pixels)


def torch_logits(network: torch.nn.Module, images_BCHW: Tensor) -> Tensor:
    """Return the logits of a network in PyTorch, for comparison."""
    with torch.inference_mode():
        logits_BK: Tensor = network(images_BCHW)
    return logits_BK.float()
