"""scikit-learn's handwritten digits: 1,797 real grey images of 8 x 8, part of its wheel."""

from pathlib import Path

import numpy as np

from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import OnImageProgress, resized_images
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec

MAX_INK = 16  # the original counts of ink per 4 x 4 cell


def read_digits(
    location: str, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """Ten classes, one grey channel, at ``spec.pixels`` (8 where that is None); nothing cached."""
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
