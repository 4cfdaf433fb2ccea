"""Decoded images on disk, so that no file is decoded twice.

A store is two files: ``KEY.npy``, the pixels, uint8 (N, C, H, W), which is memory-mapped, and
``KEY.json``, which says what they are and holds their SHA-256. KEY is a hash of what tells that
nothing has changed: of a folder, its path and every file's path, size and times of modification
and change, which takes a fraction of a second for 50,000 files where hashing them would read them
all. The pixels are checked against their hash before use: a store that was torn or altered is
built again. Old stores are never read again and may be deleted at any time.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesearch.data.decoding import Failures
from scalesearch.data.streaming import MappedImages, map_images
from scalesearch.errors import DataError

STORE_VERSION = 2  # raise it when decoding changes what is stored


@dataclass(frozen=True, slots=True, eq=False)
class ImageStore:
    """Pixels for every file of a source, in its order; the rows of ``failures`` are void."""

    images: MappedImages
    failures: Failures


def store_key(pixels: int | None, state: Iterable[bytes]) -> str:
    """Thirty-two hexadecimal digits for this state of a source, stored at this size."""
    hasher = hashlib.sha256(f"{STORE_VERSION}\n{pixels}\n".encode())
    hasher.update(b"\n".join(state))
    return hasher.hexdigest()[:32]


def read_store(cache: Path, name: str) -> ImageStore | None:
    """The store of this name, or None where there is none that can be trusted."""
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
    """Let ``fill`` write pixels of this shape, and give the store its name when it is whole.

    ``origin``: what the description is to say of the source, JSON values.
    Several processes may do so at once; the last one wins, with the same content. What ``fill``
    raises passes through and leaves nothing behind.
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
    """A temporary file beside ``path`` that takes its name if the block succeeds."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
