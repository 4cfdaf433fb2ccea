"""Load data sets by the name of their source; test images are loaded apart."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import TEST_SEED, Collection, draw_splits
from scalesearch.data.dataset import Dataset, Split, channel_statistics, dataset_fingerprint
from scalesearch.data.decoding import OnImageProgress
from scalesearch.data.sources.cifar import CIFAR10, CIFAR100, read_cifar
from scalesearch.data.sources.huggingface import read_huggingface
from scalesearch.data.sources.idx import FASHION_MNIST, MNIST, read_idx_dataset
from scalesearch.data.sources.local import read_digits, read_imagefolder
from scalesearch.data.streaming import fits_in_memory
from scalesearch.errors import DataError, closest_choice

SourceReader = Callable[[str, DataSpec, Path | None, OnImageProgress | None], Collection]
"""Reader of a source: (text after the colon, spec, cache, progress) -> all images."""

SOURCES: dict[str, SourceReader] = {
    "digits": read_digits,
    "imagefolder": read_imagefolder,
    "cifar10": partial(read_cifar, CIFAR10),
    "cifar100": partial(read_cifar, CIFAR100),
    "mnist": partial(read_idx_dataset, MNIST),
    "fashion_mnist": partial(read_idx_dataset, FASHION_MNIST),
    "hf": read_huggingface,
}


def load_dataset(
    spec: DataSpec,
    seed: int,
    cache: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: OnImageProgress | None = None,
) -> Dataset:
    """Images for training and validation, drawn with ``seed``; equal on every machine.

    ``cache``: folder of decoded images, by default ``~/.cache/scalesearch``. ``device``: device of
    the training; images that would fill its memory stay on disk. ``progress``: called with the
    done and the total amount while bytes are downloaded and files are decoded. Raises DataError
    for images that cannot be provided as requested.
    """
    collection = _read_collection(spec, cache, progress)
    rows = draw_splits(collection, spec, seed)
    resident = _is_resident(spec, collection, len(rows.train) + len(rows.validation), device)
    train, validation = (
        collection.split(part, resident=resident) for part in (rows.train, rows.validation)
    )
    mean, std = channel_statistics(train.images)
    return Dataset(
        train=train,
        validation=validation,
        class_names=collection.class_names,
        fingerprint=dataset_fingerprint((train, validation), collection.class_names),
        allows_flip=collection.allows_flip,
        mean=mean,
        std=std,
    )


def load_test_split(
    spec: DataSpec,
    cache: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: OnImageProgress | None = None,
) -> Split:
    """Test images; never among those of ``load_dataset``, for any seed.

    A fifth of the images if the source has no test images of its own; seed and numbers of training
    and validation samples do not change them.
    """
    collection = _read_collection(spec, cache, progress)
    rows = draw_splits(collection, spec, TEST_SEED).test
    return collection.split(rows, resident=_is_resident(spec, collection, len(rows), device))


def _is_resident(
    spec: DataSpec, collection: Collection, count: int, device: torch.device | str
) -> bool:
    """Whether this many images of the collection should be in memory."""
    if spec.resident is not None:
        return spec.resident
    return fits_in_memory(count * math.prod(collection.images.shape[1:]), device)


def _read_collection(
    spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    name, _, location = spec.source.partition(":")
    if name not in SOURCES:
        close = closest_choice(name, SOURCES)
        hint = f"did you mean {close}? " if close else ""
        raise DataError(
            f"data.source: need one of {', '.join(SOURCES)}, got {spec.source!r}; "
            f"{hint}write digits, cifar10 or imagefolder:PATH"
        )
    return SOURCES[name](location, spec, cache, progress)
