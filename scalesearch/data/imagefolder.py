"""Folders of image files, one per class, with or without parts of their own."""

import os
from pathlib import Path

from scalesearch.data.collection import Collection
from scalesearch.data.decoded import Encoded, decoded
from scalesearch.data.decoding import Progress
from scalesearch.data.listing import listing
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec


def read_imagefolder(
    location: str, spec: DataSpec, cache: Path | None, progress: Progress | None
) -> Collection:
    """``train/CLASS/*``, perhaps with ``validation/`` (or ``val/``) and ``test/``; or ``CLASS/*``.

    Decoded once to ``cache``.
    """
    where = f"data.source {spec.source}"
    if not location:
        raise DataError(f"{where}: need a folder, got none; write imagefolder:PATH")
    found = listing(where, Path(location).expanduser())
    folder = found.folder.resolve()
    stamps = (os.fsencode(file.path) + repr(file.stamp).encode() for file in found.files)
    encoded = Encoded(
        where=where,
        files=[found.folder / file.path for file in found.files],
        paths=[file.path for file in found.files],
        names=[file.name for file in found.files],
        parts=[file.part for file in found.files],
        labels=[file.label for file in found.files],
        class_names=found.class_names,
        state=[os.fsencode(folder), *stamps],
        origin={"folder": str(folder)},
    )
    return decoded(encoded, spec, cache, progress)
