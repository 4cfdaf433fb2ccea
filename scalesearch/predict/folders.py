"""The image files that a person means by some paths, whatever else lies among them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scalesearch.data.listing import EXTENSIONS
from scalesearch.predict.prediction import UnreadableImage

IMAGE_SUFFIXES = EXTENSIONS | {".avif", ".jfif", ".jp2", ".pgm", ".ppm", ".tif", ".tiff"}
"""Of a folder, files whose names end so, in whatever case, are taken for images."""

OUTSIDE_LINK = "a link that leads out of the folder; name what it leads to, if it is meant"
FOLDER_LINK = "a link to a folder, which is not followed; name what it leads to, if it is meant"


def image_paths(paths: Iterable[str | Path]) -> Iterator[Path | UnreadableImage]:
    """Files as they are named; of folders all images in and below them, in order of their names.

    What cannot be looked into, and links that lead out of a folder or to another, come as refused.
    Hidden files and folders are passed over. The names of one folder at a time are in memory.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _image_paths_below(path)
        else:
            yield path


def _image_paths_below(folder: Path) -> Iterator[Path | UnreadableImage]:
    root = folder.resolve()
    remaining_folders = [folder]
    while remaining_folders:
        current_folder = remaining_folders.pop()
        try:
            with os.scandir(current_folder) as entries:
                children = sorted(
                    (entry.name, entry.is_symlink(), entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not entry.name.startswith(".")
                )
        except OSError as error:
            yield UnreadableImage(str(current_folder), f"a folder that cannot be read: {error.strerror}")
            continue
        for name, is_link, is_folder in children:
            if not is_folder:
                yield from _image_path(current_folder / name, root, is_link)
        remaining_folders += [current_folder / name for name, _, is_folder in reversed(children) if is_folder]


def _image_path(path: Path, root: Path, is_link: bool) -> Iterator[Path | UnreadableImage]:
    """The file, if it is called an image; a link only to a file in the same folder."""
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    if not is_link:
        if is_image:
            yield path
        return
    is_folder_link = path.is_dir()
    if not (is_image or is_folder_link):
        return
    if not path.resolve().is_relative_to(root):
        yield UnreadableImage(str(path), OUTSIDE_LINK)
    elif is_folder_link:
        yield UnreadableImage(str(path), FOLDER_LINK)
    else:
        yield path
