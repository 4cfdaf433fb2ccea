"""Real images as an exported network is shown them: to calibrate on, to compare on, to test on."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from scalesearch.data import Dataset, Split, View, evaluation_batches, load, load_test
from scalesearch.data.decoding import Progress
from scalesearch.errors import ExportError
from scalesearch.experiment import DataSpec
from scalesearch.weights import Preparation, Saved

BATCH = 32
"""Images in one pass."""

COMPARED = 64
"""Real images on which an export is compared with its network."""

CALIBRATION = 512
"""Validation images, at most, from which the ranges of int8 are measured."""

TOGETHER = 8
"""Images whose extremes count as one when ranges are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A data set through a network's preparation. ``test``: never seen in training, calibration
    or the choice of anything."""

    dataset: Dataset
    test: Split
    view: View
    resolution: int

    def shown(self, split: Split, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images (B, C, R, R) and labels of a split, or of its first ``limit``."""
        left = len(split) if limit is None else min(limit, len(split))
        for images, labels in evaluation_batches(
            split, self.view, batch_size=BATCH, resolution=self.resolution, device="cpu"
        ):
            yield images[:left].contiguous(), labels[:left]
            left -= len(images)
            if left <= 0:
                return

    def compared(self) -> list[Tensor]:
        """The validation images on which an export is compared."""
        return [images for images, _ in self.shown(self.dataset.validation, COMPARED)]

    def calibration(self) -> Iterator[Tensor]:
        """The validation images from which ranges are measured, a few at a time."""
        for images, _ in self.shown(self.dataset.validation, CALIBRATION):
            yield from torch.split(images, TOGETHER)


def preparation_of(saved: Saved) -> Preparation:
    """How an image becomes the network's input. Raises ExportError where its file does not say."""
    if saved.preparation is None:
        raise ExportError(
            f"{saved.name or 'network'}: need to know how an image becomes its input, which its "
            "file does not say; leave --data out, or write the file with a preparation"
        )
    return saved.preparation


def pictures(saved: Saved, spec: DataSpec, seed: int, progress: Progress | None = None) -> Pictures:
    """A data set as the network is shown it; ``spec.pixels`` is what the network asks for.

    Raises ExportError for images of other classes or channels than the network's.
    """
    preparation = preparation_of(saved)
    own = DataSpec(
        source=spec.source,
        train_samples=spec.train_samples,
        validation_samples=spec.validation_samples,
        pixels=preparation.stored,
    )
    dataset = load(own, seed, progress=progress)
    names, wanted = dataset.class_names, preparation.class_names
    if wanted and names != wanted:
        raise ExportError(
            f"--data {spec.source}: need the network's {len(wanted)} classes "
            f"({', '.join(wanted[:4])}, ...), got {len(names)} ({', '.join(names[:4])}, ...)"
        )
    if (dataset.num_classes, dataset.channels) != (
        saved.architecture.num_classes,
        saved.architecture.in_channels,
    ):
        raise ExportError(
            f"--data {spec.source}: need images of {saved.architecture.in_channels} channels in "
            f"{saved.architecture.num_classes} classes, got {dataset.channels} channels and "
            f"{dataset.num_classes} classes"
        )
    test = load_test(own, progress=progress)
    return Pictures(dataset, test, preparation.view(), preparation.pixels)


def torch_answers(network: torch.nn.Module, images_BCHW: Tensor) -> Tensor:
    """The logits of a network in PyTorch, for comparison."""
    with torch.inference_mode():
        logits_BK: Tensor = network(images_BCHW)
    return logits_BK.float()
