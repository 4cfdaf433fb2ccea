"""Folders of image files, one per class, with or without parts of their own."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scalesearch.data.cache import Store, key, read_store, write_store
from scalesearch.data.collection import Collection
from scalesearch.data.decoding import Failures, Progress, decode, geometry
from scalesearch.data.listing import Listing, listing, require_images
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec
from scalesearch.files import user_cache

NAMED = 5  # corrupt files that a message names; it counts all of them


def read_imagefolder(
    location: str, spec: DataSpec, cache: Path | None, progress: Progress | None
) -> Collection:
    """``train/CLASS/*``, perhaps with ``validation/`` (or ``val/``) and ``test/``; or ``CLASS/*``.

    Decoded once to ``cache``. Images are squares in RGB, or grey where all of them are: upright
    according to their EXIF orientation, the shorter side resized, the centre cut out.
    """
    where = f"data.source {spec.source}"
    if not location:
        raise DataError(f"{where}: need a folder, got none; write imagefolder:PATH")
    found = listing(where, Path(location).expanduser())
    store = _store(found, spec, cache or user_cache(), progress)
    readable = [row for row, file in enumerate(found.files) if file.path not in store.failures]
    files = [found.files[row] for row in readable]
    if store.failures:
        warnings.warn(
            f"{where}: {len(store.failures)} of {len(found.files)} images cannot be read and are "
            f"left out: {_listed(store.failures)}",
            stacklevel=4,  # whoever called load
        )
    require_images(where, found.class_names, [f.label for f in files if f.part == "train"])
    return Collection(
        where=where,
        images=store.images.part(np.array(readable)),
        labels=np.array([file.label for file in files], dtype=np.int64),
        names=tuple(file.name for file in files),
        parts=tuple(file.part for file in files),
        class_names=found.class_names,
        mirrors=True,
    )


def _store(found: Listing, spec: DataSpec, cache: Path, progress: Progress | None) -> Store:
    """The decoded files, from the cache or put there; without failures unless these are skipped."""
    name = key(found, spec.pixels)
    store = read_store(cache, name)
    # A reading error may have been the network's: it is believed only where it may be skipped.
    if store is not None and (spec.skip_corrupt or not store.failures):
        return store
    paths = [file.path for file in found.files]
    shape = geometry(found.folder, paths, spec.pixels)
    if shape is None:
        raise DataError(
            f"{found.where}: need images, got {len(paths)} files of which none can be read, "
            f"{paths[0]} the first; check where they come from"
        )

    def fill(images: NDArray[np.uint8]) -> Failures:
        failures = decode(found.folder, paths, shape, images, progress)
        if failures and not spec.skip_corrupt:
            raise DataError(
                f"{found.where}: need images that can be read, got {len(failures)} of "
                f"{len(paths)} that cannot: {_listed(failures)}; mend or remove them, "
                "or set data.skip_corrupt: true"
            )
        return failures

    full = (len(paths), shape.channels, shape.pixels, shape.pixels)
    return write_store(cache, name, found, full, fill)


def _listed(failures: Failures) -> str:
    named = [f"{path} ({reason})" for path, reason in list(failures.items())[:NAMED]]
    more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    return ", ".join(named) + more
