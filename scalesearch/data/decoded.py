"""The encoded images of a source, decoded once for all runs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesearch.data.cache import ImageStore, store_key, read_store, write_store
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import EncodedImage, Failures, OnImageProgress, decode, common_stored_format
from scalesearch.data.listing import require_images_per_class
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec
from scalesearch.files import user_cache_folder

MAX_NAMED_FILES = 5  # corrupt files that a message names; it counts all of them


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImages:
    """The image files of a source, and a row for each of what is known without decoding them.

    ``paths``: what messages call the files. ``names``, ``parts``: see ``Collection``. ``state``:
    other bytes whenever an image is another. ``origin``: what the cache says of the source.
    """

    where: str
    files: Sequence[EncodedImage]
    paths: Sequence[str]
    names: Sequence[str]
    parts: Sequence[Part]
    labels: Sequence[int]
    class_names: tuple[str, ...]
    state: Sequence[bytes]
    origin: Mapping[str, Any]


def decode_images(
    encoded: EncodedImages, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """All images that can be read, squares in RGB, or grey where all of them are.

    Upright according to their EXIF orientation, the shorter side resized, the centre cut out. They
    stay in the cache. Raises DataError, or with ``skip_corrupt`` warns, where some are unreadable.
    """
    where, count = encoded.where, len(encoded.paths)
    store = _read_or_write_store(encoded, spec, cache or user_cache_folder(), progress)
    readable = [row for row, path in enumerate(encoded.paths) if path not in store.failures]
    if store.failures:
        warnings.warn(
            f"{where}: {len(store.failures)} of {count} images cannot be read and are "
            f"left out: {_failure_list(store.failures)}",
            stacklevel=5,  # whoever called load
        )
    labels = np.array(encoded.labels, dtype=np.int64)[readable]
    parts = tuple(encoded.parts[row] for row in readable)
    train_labels = [label for label, part in zip(labels.tolist(), parts, strict=True) if part == "train"]
    require_images_per_class(where, encoded.class_names, train_labels)
    return Collection(
        where=where,
        images=store.images.subset(np.array(readable)),
        labels=labels,
        names=tuple(encoded.names[row] for row in readable),
        parts=parts,
        class_names=encoded.class_names,
        allows_flip=True,
    )


def _read_or_write_store(encoded: EncodedImages, spec: DataSpec, cache: Path, progress: OnImageProgress | None) -> ImageStore:
    """The decoded files, from the cache or put there; without failures unless these are skipped."""
    name = store_key(spec.pixels, encoded.state)
    store = read_store(cache, name)
    # A reading error may have been the network's: it is believed only where it may be skipped.
    if store is not None and (spec.skip_corrupt or not store.failures):
        return store
    where, paths = encoded.where, encoded.paths
    stored_format = common_stored_format(encoded.files, spec.pixels)
    if stored_format is None:
        raise DataError(
            f"{where}: need images, got {len(paths)} files of which none can be read, "
            f"{paths[0]} the first; check where they come from"
        )

    def fill(images: NDArray[np.uint8]) -> Failures:
        failures = decode(encoded.files, paths, stored_format, images, progress)
        if failures and not spec.skip_corrupt:
            raise DataError(
                f"{where}: need images that can be read, got {len(failures)} of "
                f"{len(paths)} that cannot: {_failure_list(failures)}; mend or remove them, "
                "or set data.skip_corrupt: true"
            )
        return failures

    description = {
        "class_names": encoded.class_names,
        "paths": list(paths),
        "labels": list(encoded.labels),
    }
    array_shape = (len(paths), stored_format.channels, stored_format.pixels, stored_format.pixels)
    return write_store(cache, name, {**encoded.origin, **description}, array_shape, fill)


def _failure_list(failures: Failures) -> str:
    named = [f"{path} ({reason})" for path, reason in list(failures.items())[:MAX_NAMED_FILES]]
    more = f" and {len(failures) - MAX_NAMED_FILES} more" if len(failures) > MAX_NAMED_FILES else ""
    return ", ".join(named) + more
