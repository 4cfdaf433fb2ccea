"""Image files -> squares of uint8, by a small pool of threads."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Progress = Callable[[int, int], None]
"""Called with what is done and what there is: files decoded, or bytes downloaded."""

Mode = Literal["L", "RGB"]
EncodedImage = Path | BytesIO
"""An encoded image, on disk or in memory."""

Failures = dict[str, str]
"""Name of each unreadable file -> the reason."""

T = TypeVar("T")
R = TypeVar("R")

GREY = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
CHUNK = 64  # files per task: far fewer tasks than files, and still a moving progress bar
MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class Geometry:
    """How all images of a folder are stored: ``pixels`` per side, grey or in colour."""

    pixels: int
    mode: Mode

    @property
    def channels(self) -> int:
        return len(self.mode)


def geometry(files: Sequence[EncodedImage], pixels: int | None) -> Geometry | None:
    """What the headers of the files ask for; None where not one of them can be read.

    Grey only if all are grey. Where ``pixels`` is None: the smallest short side, so that nothing
    is enlarged.
    """
    with _strict_pillow():
        headers = list(_mapped(lambda row: _header(files[row]), range(len(files))))
    found = [header for header in headers if not isinstance(header, str)]
    if not found:
        return None
    mode: Mode = "L" if all(mode in GREY for mode, _ in found) else "RGB"
    return Geometry(pixels or min(short_side for _, short_side in found), mode)


def decode(
    files: Sequence[EncodedImage],
    names: Sequence[str],
    geometry: Geometry,
    into: NDArray[np.uint8],
    progress: Progress | None = None,
) -> Failures:
    """Write each file's square to its row of ``into`` (N, C, H, W); say which could not be read."""

    def one(row: int) -> str | None:
        pixels = _square(files[row], geometry)
        if isinstance(pixels, str):
            return pixels
        into[row] = pixels
        return None

    failures: Failures = {}
    with _strict_pillow():
        for done, reason in enumerate(_mapped(one, range(len(names))), start=1):
            if reason is not None:
                failures[names[done - 1]] = reason
            if progress is not None and (done % CHUNK == 0 or done == len(names)):
                progress(done, len(names))
    return failures


def resized(images: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Grey or colour images (N, C, H, W) at another size, averaged where that is smaller."""
    count, channels = images.shape[:2]

    def one(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture = Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0).copy())
        small = np.asarray(picture.resize((pixels, pixels), Image.Resampling.BILINEAR))
        return small.reshape(pixels, pixels, channels).transpose(2, 0, 1)

    result = np.empty((count, channels, pixels, pixels), dtype=np.uint8)
    for row, small in enumerate(_mapped(one, list(images))):
        result[row] = small
    return result


def _header(file: EncodedImage) -> tuple[str, int] | str:
    """Mode and short side, or the reason why there is none."""
    try:
        with Image.open(file) as image:
            return image.mode, min(image.size)
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _reason(file, error)


def _square(file: EncodedImage, geometry: Geometry) -> NDArray[np.uint8] | str:
    """The central square (C, H, W), upright, or the reason why there is none.

    Transparency is dropped and of a moving picture the first frame is taken.
    """
    side = geometry.pixels
    try:
        with Image.open(file) as opened:
            opened.draft(None, (2 * side, 2 * side))  # lets JPEG skip detail we would average away
            image = _converted(ImageOps.exif_transpose(opened), geometry.mode)
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        box = (left, top, left + short, top + short)
        square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _reason(file, error)
    return square.reshape(side, side, geometry.channels).transpose(2, 0, 1)


def _converted(image: Image.Image, mode: Mode) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert(mode)


def _reason(file: EncodedImage, error: Exception) -> str:
    if not isinstance(error, UnidentifiedImageError):
        return f"{type(error).__name__}: {error}"
    with file.open("rb") if isinstance(file, Path) else BytesIO(file.getvalue()) as content:
        head = content.read(24)
    return f"not an image: it begins with {head!r}" if head else "an empty file"


def _mapped(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``map`` over a pool of threads, in chunks and in order."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(_threads()) as pool:
        try:
            for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
                yield from results
        finally:  # Ctrl-C waits for the chunks at work, not for all of them
            pool.shutdown(cancel_futures=True)


def _threads() -> int:
    """Processors that this process may use, within reason."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        usable = os.cpu_count() or 1
    return min(MAX_THREADS, usable)


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """A suspected decompression bomb is an error; remarks on metadata are of no concern."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
