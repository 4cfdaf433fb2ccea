"""Folders of image files, one per class, with or without parts of their own."""

import os
from pathlib import Path

from scalesearch.data.collection import Collection
from scalesearch.data.decoded import EncodedImages, decode_images
from scalesearch.data.decoding import OnImageProgress
from scalesearch.data.listing import list_image_folder
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec


def read_imagefolder(
    location: str, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """``train/CLASS/*``, perhaps with ``validation/`` (or ``val/``) and ``test/``; or ``CLASS/*``.

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
