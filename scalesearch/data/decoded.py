"""The encoded images of a source, decoded once for all runs."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesearch.data.cache import Store, key, read_store, write_store
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import EncodedImage, Failures, Progress, decode, geometry
from scalesearch.data.listing import require_images
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec
from scalesearch.files import user_cache

NAMED = 5  # corrupt files that a message names; it counts all of them


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
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


def decoded(
    encoded: Encoded, spec: DataSpec, cache: Path | None, progress: Progress | None
) -> Collection:
    """All images that can be read, squares in RGB, or grey where all of them are.

    Upright according to their EXIF orientation, the shorter side resized, the centre cut out. They
    stay in the cache. Raises DataError, or with ``skip_corrupt`` warns, where some are unreadable.
    """
    where, count = encoded.where, len(encoded.paths)
    store = _store(encoded, spec, cache or user_cache(), progress)
    readable = [row for row, path in enumerate(encoded.paths) if path not in store.failures]
    if store.failures:
        warnings.warn(
            f"{where}: {len(store.failures)} of {count} images cannot be read and are "
            f"left out: {_listed(store.failures)}",
            stacklevel=5,  # whoever called load
        )
    labels = np.array(encoded.labels, dtype=np.int64)[readable]
    parts = tuple(encoded.parts[row] for row in readable)
    trained = [label for label, part in zip(labels.tolist(), parts, strict=True) if part == "train"]
    require_images(where, encoded.class_names, trained)
    return Collection(
        where=where,
        images=store.images.part(np.array(readable)),
        labels=labels,
        names=tuple(encoded.names[row] for row in readable),
        parts=parts,
        class_names=encoded.class_names,
        mirrors=True,
    )


def _store(encoded: Encoded, spec: DataSpec, cache: Path, progress: Progress | None) -> Store:
    """The decoded files, from the cache or put there; without failures unless these are skipped."""
    name = key(spec.pixels, encoded.state)
    store = read_store(cache, name)
    # A reading error may have been the network's: it is believed only where it may be skipped.
    if store is not None and (spec.skip_corrupt or not store.failures):
        return store
    where, paths = encoded.where, encoded.paths
    shape = geometry(encoded.files, spec.pixels)
    if shape is None:
        raise DataError(
            f"{where}: need images, got {len(paths)} files of which none can be read, "
            f"{paths[0]} the first; check where they come from"
        )

    def fill(images: NDArray[np.uint8]) -> Failures:
        failures = decode(encoded.files, paths, shape, images, progress)
        if failures and not spec.skip_corrupt:
            raise DataError(
                f"{where}: need images that can be read, got {len(failures)} of "
                f"{len(paths)} that cannot: {_listed(failures)}; mend or remove them, "
                "or set data.skip_corrupt: true"
            )
        return failures

    known = {
        "class_names": encoded.class_names,
        "paths": list(paths),
        "labels": list(encoded.labels),
    }
    full = (len(paths), shape.channels, shape.pixels, shape.pixels)
    return write_store(cache, name, {**encoded.origin, **known}, full, fill)


def _listed(failures: Failures) -> str:
    named = [f"{path} ({reason})" for path, reason in list(failures.items())[:NAMED]]
    more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    return ", ".join(named) + more
