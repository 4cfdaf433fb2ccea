"""Sources without downloads: scikit-learn's digits, and image folders.

The digits are 1,797 real grey images of 8 x 8 pixels, part of scikit-learn's wheel.
"""

import os
from pathlib import Path

import numpy as np

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import OnImageProgress, resized_images
from scalesearch.data.image_cache import EncodedImages, decode_images
from scalesearch.data.image_listing import list_image_folder
from scalesearch.errors import DataError

MAX_INK = 16  # ink counts per 4 x 4 cell of the originals


def read_digits(
    location: str, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """Ten classes, one grey channel, at ``spec.pixels`` (8 if None)."""
    from sklearn.datasets import load_digits  # a second to import, and only needed here

    if location:
        raise DataError(
            f"data.source: digits has no folder, got {spec.source!r}; "
            f"write digits, or imagefolder:{location}"
        )
    digits = load_digits()
    grey = np.rint(digits.images * (255 / MAX_INK)).astype(np.uint8)
    stored = grey[:, np.newaxis]
    images = stored if spec.pixels is None else resized_images(stored, spec.pixels)
    if progress is not None:
        progress(len(images), len(images))
    train: Part = "train"
    return Collection(
        where=f"data.source {spec.source}",
        images=images,
        labels=digits.target.astype(np.int64),
        names=tuple(f"{row:04d}" for row in range(len(images))),
        parts=(train,) * len(images),
        class_names=tuple(str(name) for name in digits.target_names),
        allows_flip=False,
    )


def read_imagefolder(
    location: str, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """Read ``train/CLASS/*`` with ``validation/``, ``test/``; or ``CLASS/*``.

    Decoded once to ``cache``.
    """
    where = f"data.source {spec.source}"
    if not location:
        raise DataError(f"{where}: need a folder, got none; write imagefolder:PATH")
    folder_listing = list_image_folder(where, Path(location).expanduser())
    folder = folder_listing.folder.resolve()
    stamps = (os.fsencode(file.path) + repr(file.stamp).encode() for file in folder_listing.files)
    encoded = EncodedImages(
        where=where,
        files=[folder_listing.folder / file.path for file in folder_listing.files],
        paths=[file.path for file in folder_listing.files],
        names=[file.name for file in folder_listing.files],
        parts=[file.part for file in folder_listing.files],
        labels=[file.label for file in folder_listing.files],
        class_names=folder_listing.class_names,
        state=[os.fsencode(folder), *stamps],
        origin={"folder": str(folder)},
    )
    return decode_images(encoded, spec, cache, progress)
