"""Data sets of the Hugging Face hub, through the ``datasets`` library (an extra)."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, Part
from scalesearch.data.decoding import EncodedImage, OnImageProgress
from scalesearch.data.image_cache import EncodedImages, decode_images
from scalesearch.data.image_listing import PART_FOLDERS
from scalesearch.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features

SPLIT_PARTS: dict[str, Part] = {**PART_FOLDERS, "valid": "validation"}
LABEL_COLUMNS = ("label", "labels", "fine_label")
"""Columns of classes, in order of preference if there are several."""


def read_huggingface(
    location: str, spec: DataSpec, cache: Path | None, progress: OnImageProgress | None
) -> Collection:
    """Read ``hf:NAME`` or ``hf:NAME:CONFIGURATION``; NAME may be a local folder.

    It needs one column of images and one of classes. The library keeps its downloads; decoded
    images are in ``cache``. Splits with other names than train, validation or test are ignored, as
    are splits without labels. Mirrored images count as keeping their meaning.
    """
    where = f"data.source {spec.source}"
    if not location:
        raise DataError(f"{where}: need a data set's name, got none; write hf:NAME")
    splits = _load_splits(where, location, cache)
    image, label = _find_columns(where, splits["train"].features)
    labels = {part: _split_labels(where, split, part, label) for part, split in splits.items()}
    labels = {part: its for part, its in labels.items() if its}
    rows = [(part, row) for part, its in labels.items() for row in range(len(its))]
    encoded = EncodedImages(
        where=where,
        files=_LazyImages([splits[part] for part in labels], image),
        paths=[f"{part}[{row}]" for part, row in rows],
        names=[f"{row:07d}" for _, row in rows],
        parts=[part for part, _ in rows],
        labels=[value for its in labels.values() for value in its],
        class_names=tuple(splits["train"].features[label].names),
        state=[b"hf", image.encode(), *(splits[part]._fingerprint.encode() for part in labels)],
        origin={"huggingface": location},
    )
    return decode_images(encoded, spec, cache, progress)


def _load_splits(where: str, location: str, cache: Path | None) -> dict[Part, "Dataset"]:
    """Parts that the data set provides."""
    try:
        from datasets import DatasetDict, load_dataset
    except ImportError as error:
        raise DataError(
            f"{where}: need the datasets library, got {error}; "
            "pip install 'scalesearch[huggingface]'"
        ) from error
    name, _, configuration = location.partition(":")
    try:
        loaded = load_dataset(
            str(Path(name).expanduser()) if name.startswith("~") else name,
            configuration or None,
            cache_dir=None if cache is None else str(cache / "huggingface"),
        )
    except (
        Exception
    ) as error:  # errors of the library, the hub's client, the network or the file formats
        raise DataError(
            f"{where}: need a data set that can be loaded, got {type(error).__name__}: {error}; "
            "check the name and the network; without one it has to be in the library's cache"
        ) from error
    assert isinstance(loaded, DatasetDict)  # no single split was requested
    splits = {part: loaded[split] for split, part in SPLIT_PARTS.items() if split in loaded}
    if "train" not in splits:
        raise DataError(f"{where}: need a split named train, got {', '.join(map(str, loaded))}")
    return splits


def _find_columns(where: str, features: "Features") -> tuple[str, str]:
    """Names of the columns of images and of classes."""
    from datasets import ClassLabel, Image

    images = [name for name, kind in features.items() if isinstance(kind, Image)]
    classes = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
    label_columns = [name for name in LABEL_COLUMNS if name in classes] or (
        classes if len(classes) == 1 else []
    )
    if len(images) == 1 and label_columns:
        return images[0], label_columns[0]
    columns = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in features.items())
    raise DataError(
        f"{where}: need one column of type Image and one of type ClassLabel (of several, one named "
        f"{' or '.join(LABEL_COLUMNS)}), got {columns}; export it as an imagefolder instead"
    )


def _split_labels(where: str, split: "Dataset", part: Part, column: str) -> Sequence[int]:
    """Labels of a split; empty if it keeps some secret, as tests of contests do."""
    labels: list[int | None] = split[column][:]
    valid_labels = [label for label in labels if label is not None and label >= 0]
    if len(valid_labels) == len(labels):
        return valid_labels
    if part == "train":
        raise DataError(
            f"{where}: need a label for each image to train on, got "
            f"{len(labels) - len(valid_labels)} "
            "without; choose another data set"
        )
    return []


class _LazyImages(Sequence[EncodedImage]):
    """Encoded images of splits, one after another, read on request."""

    def __init__(self, splits: Sequence["Dataset"], column: str) -> None:
        from datasets import Image, concatenate_datasets

        images = [
            split.select_columns([column]).cast_column(column, Image(decode=False))
            for split in splits
        ]
        self.column = column
        self.rows = concatenate_datasets(images)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, row: int) -> EncodedImage: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[EncodedImage]: ...
    def __getitem__(self, row: int | slice) -> EncodedImage | Sequence[EncodedImage]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        image: Mapping[str, Any] = self.rows[row][self.column] or {}
        if image.get("bytes") is None and image.get("path"):
            return Path(image["path"])
        return BytesIO(image.get("bytes") or b"")
