"""Decoded images on disk, so that each file is decoded once for all runs.

A store is two files: ``KEY.npy``, the pixels, uint8 (N, C, H, W), which is memory-mapped, and
``KEY.json``, which describes them and holds their SHA-256. KEY is a hash of what shows that nothing
has changed: for a folder its path and every file's path, size and times of modification and change.
That takes a fraction of a second for 50,000 files; hashing them would read them all. The pixels are
checked against their hash before use; a torn or altered store is built again. Old stores are never
read again and may be deleted at any time.
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import (
    EncodedImage,
    Failures,
    OnImageProgress,
    common_stored_format,
    decode,
)
from scalesearch.data.image_listing import require_images_per_class
from scalesearch.data.streaming import MappedImages, map_images
from scalesearch.errors import DataError
from scalesearch.io import user_cache_folder

STORE_VERSION = 2  # raise it when decoding changes the stored pixels


@dataclass(frozen=True, slots=True, eq=False)
class ImageStore:
    """Pixels for every file of a source; the rows of ``failures`` are void."""

    images: MappedImages
    failures: Failures


def store_key(pixels: int | None, state: Iterable[bytes]) -> str:
    """Thirty-two hexadecimal digits for this state of a source, stored at this size."""
    hasher = hashlib.sha256(f"{STORE_VERSION}\n{pixels}\n".encode())
    hasher.update(b"\n".join(state))
    return hasher.hexdigest()[:32]


def read_store(cache: Path, name: str) -> ImageStore | None:
    """Read the store of this name; None if none can be trusted."""
    pixels, description = _paths(cache, name)
    try:
        document = json.loads(description.read_text(encoding="utf-8"))
        with pixels.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != document["sha256"]:
                return None
        return ImageStore(map_images(pixels), document["unreadable"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_store(
    cache: Path,
    name: str,
    origin: Mapping[str, Any],
    shape: tuple[int, int, int, int],
    fill: Callable[[NDArray[np.uint8]], Failures],
) -> ImageStore:
    """Let ``fill`` write pixels of this shape, and name the store when it is whole.

    ``origin``: JSON values that describe the source. Several processes may write at once; the last
    one wins, with the same content. Exceptions of ``fill`` pass through and leave no files behind.
    """
    pixels, description = _paths(cache, name)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _replace_when_whole(pixels) as temporary:
            images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            failures = fill(images)
            images.flush()
            with temporary.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with _replace_when_whole(description) as temporary:
            store_fields = {"version": STORE_VERSION, "unreadable": failures, "sha256": sha256}
            document = {**origin, **store_fields}
            temporary.write_text(json.dumps(document), encoding="utf-8")
        return ImageStore(map_images(pixels), failures)
    except OSError as error:
        raise DataError(
            f"cache {cache}: need a folder that can be written, got {error}; make room there, or "
            "set XDG_CACHE_HOME to another place"
        ) from error


def _paths(cache: Path, name: str) -> tuple[Path, Path]:
    return cache / f"{name}.npy", cache / f"{name}.json"


@contextmanager
def _replace_when_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the block succeeds."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


MAX_NAMED_FILES = 5  # corrupt files named in a message; it counts all of them


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImages:
    """Image files of a source, and what is known of each without decoding.

    ``paths``: names of the files in messages. ``names``, ``parts``: see ``Collection``. ``state``:
    other bytes whenever an image changes. ``origin``: description of the source in the cache.
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
    """All readable images as squares in RGB, or in grey if all are grey.

    Upright by their EXIF orientation, the shorter side resized, the centre cut out; kept in the
    cache. Raises DataError if some are unreadable, or with ``skip_corrupt`` warns.
    """
    where, count = encoded.where, len(encoded.paths)
    store = _read_or_write_store(encoded, spec, cache or user_cache_folder(), progress)
    readable = [row for row, path in enumerate(encoded.paths) if path not in store.failures]
    if store.failures:
        warnings.warn(
            f"{where}: {len(store.failures)} of {count} images cannot be read and are "
            f"left out: {_failure_list(store.failures)}",
            stacklevel=5,  # the caller of load_dataset
        )
    labels = np.array(encoded.labels, dtype=np.int64)[readable]
    parts = tuple(encoded.parts[row] for row in readable)
    train_labels = [
        label for label, part in zip(labels.tolist(), parts, strict=True) if part == "train"
    ]
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


def _read_or_write_store(
    encoded: EncodedImages, spec: DataSpec, cache: Path, progress: OnImageProgress | None
) -> ImageStore:
    """Read the decoded files from the cache, or decode and store them.

    Failures are only kept if they are skipped.
    """
    name = store_key(spec.pixels, encoded.state)
    store = read_store(cache, name)
    # A reading error may come from the network: it is stored only if it may be skipped.
    if store is not None and (spec.skip_corrupt or not store.failures):
        return store
    where, paths = encoded.where, encoded.paths
    stored_format = common_stored_format(encoded.files, spec.pixels)
    if stored_format is None:
        raise DataError(
            f"{where}: need images, got {len(paths)} unreadable files, the first {paths[0]}; "
            "check where they come from"
        )

    def fill(images: NDArray[np.uint8]) -> Failures:
        """Decode the images into the file of the cache."""
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
