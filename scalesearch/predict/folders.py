"""The image files that a person means by some paths, whatever else lies among them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scalesearch.data.listing import EXTENSIONS
from scalesearch.predict.prediction import Refused

KINDS = EXTENSIONS | {".avif", ".jfif", ".jp2", ".pgm", ".ppm", ".tif", ".tiff"}
"""Of a folder, files whose names end so, in whatever case, are taken for images."""

OUT = "a link that leads out of the folder; name what it leads to, if it is meant"
FOLDER = "a link to a folder, which is not followed; name what it leads to, if it is meant"


def images_in(places: Iterable[str | Path]) -> Iterator[Path | Refused]:
    """Files as they are named; of folders all images in and below them, in order of their names.

    What cannot be looked into, and links that lead out of a folder or to another, come as refused.
    Hidden files and folders are passed over. The names of one folder at a time are in memory.
    """
    for place in map(Path, places):
        if place.is_dir():
            yield from _below(place)
        else:
            yield place


def _below(folder: Path) -> Iterator[Path | Refused]:
    root = folder.resolve()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                found = sorted(
                    (entry.name, entry.is_symlink(), entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if not entry.name.startswith(".")
                )
        except OSError as error:
            yield Refused(str(here), f"a folder that cannot be read: {error.strerror}")
            continue
        for name, is_link, is_folder in found:
            if not is_folder:
                yield from _file(here / name, root, is_link)
        waiting += [here / name for name, _, is_folder in reversed(found) if is_folder]


def _file(path: Path, root: Path, is_link: bool) -> Iterator[Path | Refused]:
    """The file, if it is called an image; a link only to a file in the same folder."""
    is_image = path.suffix.lower() in KINDS
    if not is_link:
        if is_image:
            yield path
        return
    to_folder = path.is_dir()
    if not (is_image or to_folder):
        return
    if not path.resolve().is_relative_to(root):
        yield Refused(str(path), OUT)
    elif to_folder:
        yield Refused(str(path), FOLDER)
    else:
        yield path
