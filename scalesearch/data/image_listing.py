"""Parts, classes and files of an image folder, in an order that never changes."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scalesearch.data.collection import Part
from scalesearch.errors import DataError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"})
PART_FOLDERS: dict[str, Part] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
"""Folder names of the parts, in lower case as they must be written."""

MIN_PER_CLASS = 2  # one to train on, one to validate or test on


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file: its path relative to the folder, and a stamp of size and times."""

    path: str
    name: str
    part: Part
    label: int
    stamp: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ImageFolderListing:
    """All image files of a folder, sorted by part, class and name."""

    where: str
    folder: Path
    class_names: tuple[str, ...]
    files: tuple[ImageFile, ...]


def list_image_folder(where: str, folder: Path) -> ImageFolderListing:
    """List names and stamps; no file is opened.

    Raises DataError for a folder that is missing, empty, without class folders, with parts of
    different classes, or with a class of a single training image.
    """
    try:
        parts = _part_folders(where, folder)
        classes = {part: _subfolder_names(path) for part, path in parts.items()}
        class_names = _common_class_names(where, classes)
        files = tuple(
            file
            for part, path in parts.items()
            for file in _image_files(part, path, class_names, folder)
        )
    except OSError as error:
        raise DataError(f"{where}: need a folder that can be read, got {error}") from error
    for part in parts:
        if not any(file.part == part for file in files):
            raise DataError(
                f"{where}: need images ({', '.join(sorted(EXTENSIONS))}) in the class folders of "
                f"{parts[part]}, got none; add some or remove the folder"
            )
    require_images_per_class(
        where, class_names, [file.label for file in files if file.part == "train"]
    )
    return ImageFolderListing(where, folder, class_names, files)


def require_images_per_class(
    where: str, class_names: Sequence[str], train_labels: Sequence[int]
) -> None:
    """Raise DataError, with names, if classes have too few images to train on."""
    counts = Counter(train_labels)
    too_small_classes = [
        f"{name} ({counts[label]})"
        for label, name in enumerate(class_names)
        if counts[label] < MIN_PER_CLASS
    ]
    if too_small_classes:
        raise DataError(
            f"{where}: need at least {MIN_PER_CLASS} training images in each class, "
            f"got fewer in {_first_names(too_small_classes)}; add images or remove the class"
        )


def _part_folders(where: str, folder: Path) -> dict[Part, Path]:
    """Each part that the folder provides, and its path."""
    if not folder.is_dir():
        actual = "a file" if folder.exists() else "nothing there"
        raise DataError(f"{where}: need a folder, got {actual} at {folder}; check the path")
    names = _subfolder_names(folder)
    present = [name for name in PART_FOLDERS if name in names]
    if not names:
        actual = "an empty folder" if not any(folder.iterdir()) else "files but no folders"
        raise DataError(
            f"{where}: need class folders, or train/ with class folders, got {actual}; "
            "give each class a folder of its images"
        )
    if not present:
        return {"train": folder}
    if "train" not in present:
        raise DataError(f"{where}: need train/ beside {present[0]}/, got none; add the folder")
    if "validation" in present and "val" in present:
        raise DataError(f"{where}: need validation/ or val/, got both; remove one of them")
    return {PART_FOLDERS[name]: folder / name for name in present}


def _subfolder_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _common_class_names(where: str, classes_by_part: dict[Part, list[str]]) -> tuple[str, ...]:
    """Class names of training, which the other parts must share."""
    names = classes_by_part["train"]
    if len(names) < 2:
        raise DataError(
            f"{where}: need class folders for at least 2 classes, got "
            f"{_first_names(names) or 'none'}; "
            "give each class a folder of its images"
        )
    for part, others in classes_by_part.items():
        if others != names:
            missing = _first_names([name for name in names if name not in others]) or "none"
            extra = _first_names([name for name in others if name not in names]) or "none"
            raise DataError(
                f"{where}: need the same classes in train and {part}, got {part} without: "
                f"{missing}; with others: {extra}; rename or remove these folders"
            )
    return tuple(names)


def _image_files(
    part: Part, part_folder: Path, class_names: Sequence[str], folder: Path
) -> Iterator[ImageFile]:
    prefix = "" if part_folder == folder else f"{part_folder.name}/"
    for label, class_name in enumerate(class_names):
        with os.scandir(part_folder / class_name) as entries:
            images = sorted((e for e in entries if _is_image(e)), key=lambda e: e.name)
        for entry in images:
            name = f"{class_name}/{entry.name}"
            yield ImageFile(prefix + name, name, part, label, _stamp(entry))


def _is_image(entry: os.DirEntry[str]) -> bool:
    extension = os.path.splitext(entry.name)[1].lower()
    return extension in EXTENSIONS and not entry.name.startswith(".") and entry.is_file()


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int, int]:
    """Return a stamp that changes with the content, even if the modification time is set back."""
    status = entry.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _first_names(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
