"""Images and labels as frozen data, identified by their content."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scalesearch.data.streaming import Images, MappedImages, image_chunks, prefetch, take_images

PIXEL_LEVELS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Square images, uint8 (N, C, H, W), and their labels, int64 (N,).

    Images that fit are resident on the device that ``to`` moved them to; others stay on disk.
    ``batches`` gives the same for both.
    """

    images: Images
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or len(images.shape) != 4 or len(set(images.shape[2:])) > 1:
            raise ValueError(
                "need square uint8 images of shape (N, C, H, W), "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"need one int64 label for each of {len(images)} images, "
                f"got {labels.dtype} of shape {tuple(labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_resident(self) -> bool:
        return isinstance(self.images, Tensor)

    def to(self, device: torch.device | str) -> "Split":
        """Move the split to the memory of ``device``; returns itself if there or on disk."""
        if isinstance(self.images, MappedImages):
            return self
        images, labels = self.images.to(device), self.labels.to(device)
        return self if images is self.images else Split(images, labels)

    def batches(
        self, rows: Iterable[Tensor], device: torch.device | str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (uint8) and labels (int64) of each of these rows, on ``device``.

        A thread reads ahead from disk; it ends with this generator. Raises DataError if images on
        disk change meanwhile.
        """
        if isinstance(self.images, MappedImages):
            yield from _stream_batches(self.images, self.labels, rows, torch.device(device))
            return
        on_device = self.to(device)
        for row_indices in rows:
            row_indices = row_indices.to(device)
            yield (
                take_images(on_device.images, row_indices),
                on_device.labels.index_select(0, row_indices),
            )


def _stream_batches(
    images: MappedImages, labels: Tensor, rows: Iterable[Tensor], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    pinned = device.type == "cuda"  # otherwise its copies would block

    def read(row_indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take the images and labels of these rows."""
        batch_labels = labels.index_select(0, row_indices.cpu())
        return images.take(
            row_indices, pinned=pinned
        ), batch_labels.pin_memory() if pinned else batch_labels

    for batch in prefetch(read, rows):
        batch_images, its_labels = (tensor.to(device, non_blocking=pinned) for tensor in batch)
        yield batch_images, its_labels


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images for training and validation; never the test images.

    ``fingerprint``: hash of the pixels, labels and class names of both splits, so also of the
    split itself; it does not depend on where, when or under which names files were stored.
    ``allows_flip``: whether a mirrored image keeps its meaning; digits do not. ``mean``, ``std``:
    per channel over the training images, as fractions of full brightness.
    """

    train: Split
    validation: Split
    class_names: tuple[str, ...]
    fingerprint: str
    allows_flip: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to(self, device: torch.device | str) -> "Dataset":
        """Move the resident images to the memory of ``device``."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

    @property
    def channels(self) -> int:
        return self.train.images.shape[1]

    @property
    def pixels(self) -> int:
        """Pixels per side, as stored."""
        return self.train.images.shape[2]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def dataset_fingerprint(splits: Sequence[Split], class_names: Sequence[str]) -> str:
    """Sixteen digits of the SHA-256 of shapes, class names, labels and pixels."""
    header = {
        "version": 1,
        "shapes": [list(split.images.shape) for split in splits],
        "class_names": list(class_names),
    }
    hasher = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for split in splits:
        hasher.update(split.labels.numpy().astype("<i8").tobytes())
        for images in image_chunks(split.images):
            hasher.update(images.contiguous().numpy().data)
    return hasher.hexdigest()[:16]


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel of uint8 images (N, C, H, W), as fractions.

    Computed in integers: exact, and equal for every number of threads. A channel without variation
    gets the deviation 1, so normalising leaves it at zero.
    """
    count = len(images) * images.shape[2] * images.shape[3]
    histogram = sum(
        (_histogram(chunk) for chunk in image_chunks(images)),
        start=torch.zeros(images.shape[1], PIXEL_LEVELS, dtype=torch.int64),
    )
    level = torch.arange(PIXEL_LEVELS)
    totals, squares = histogram @ level, histogram @ level.square()
    mean = totals.double() / count
    std = (squares.double() / count - mean.square()).clamp_min(0).sqrt()
    std = torch.where(std > 0, std, 255.0)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _histogram(images: Tensor) -> Tensor:
    """Count of each level in each channel: (C, 256)."""
    return torch.stack(
        [torch.bincount(channel.flatten(), minlength=PIXEL_LEVELS) for channel in images.unbind(1)]
    )
