"""Image files -> squares of uint8, by a small pool of threads."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Progress = Callable[[int, int], None]
"""Called with what is done and what there is: files decoded, or bytes downloaded."""

Mode = Literal["L", "RGB"]
Interpolation = Literal["bilinear", "bicubic"]
EncodedImage = Path | BytesIO
"""An encoded image, on disk or in memory."""

Failures = dict[str, str]
"""Name of each unreadable file -> the reason."""

T = TypeVar("T")
R = TypeVar("R")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""What is read. Of Pillow's other formats some are decoded by other programs (EPS), which no file
that is called an image should be able to start."""

GREY = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
UNBOUNDED = frozenset({"I", "F"})
"""Modes of 32-bit numbers, whose full brightness the file does not tell."""

BYTES_A_PIXEL = 8
"""Four channels of 16 bits: what no image file needs more of."""

CHUNK = 64  # files per task: far fewer tasks than files, and still a moving progress bar
MAX_THREADS = 8
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LARGE = 1 << 24  # pixels; such images are decoded one at a time, or threads would add up gigabytes
_alone = threading.Lock()


@dataclass(frozen=True, slots=True)
class Geometry:
    """How all images of a folder are stored: ``pixels`` per side, grey or in colour, resized by
    ``interpolation`` (antialiased where they get smaller)."""

    pixels: int
    mode: Mode
    interpolation: Interpolation = "bilinear"

    @property
    def channels(self) -> int:
        return len(self.mode)


def geometry(files: Sequence[EncodedImage], pixels: int | None) -> Geometry | None:
    """What the headers of the files ask for; None where not one of them can be read.

    Grey only if all are grey. Where ``pixels`` is None: the smallest short side, so that nothing
    is enlarged.
    """
    with _quiet_pillow():
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
    reasons = squares(files, geometry, into, progress)
    named = zip(names, reasons, strict=True)
    return {name: reason for name, reason in named if reason is not None}


def squares(
    images: Sequence[EncodedImage | Image.Image],
    geometry: Geometry,
    into: NDArray[np.uint8],
    progress: Progress | None = None,
) -> list[str | None]:
    """Write each image's square to its row of ``into``; for each the reason why that failed, or
    None. A failed image's row is void. See ``square``."""

    def one(row: int) -> str | None:
        pixels = square(images[row], geometry)
        if isinstance(pixels, str):
            return pixels
        into[row] = pixels
        return None

    reasons: list[str | None] = []
    with _quiet_pillow():
        for reason in _mapped(one, range(len(images))):
            reasons.append(reason)
            done = len(reasons)
            if progress is not None and (done % CHUNK == 0 or done == len(images)):
                progress(done, len(images))
    return reasons


def square(image: EncodedImage | Image.Image, geometry: Geometry) -> NDArray[np.uint8] | str:
    """The central square (C, H, W), upright, or the reason why there is none.

    Upright: as the EXIF orientation says. Transparency is dropped, which leaves the colours that
    lie beneath it, as the loaders of torchvision, timm and Keras do; of 16 bits a channel the
    upper eight are taken, of a moving picture the first frame. More pixels than
    ``PIL.Image.MAX_IMAGE_PIXELS`` (89 million) are refused, whatever the format: also of a JPEG,
    since a progressive one is held whole, however small it is asked for.
    """
    side = geometry.pixels
    try:
        if isinstance(image, Image.Image):  # the caller's own, which stays as it is
            _require_bounded(image)
            pixels = _centre(ImageOps.exif_transpose(image), geometry)
        else:
            pixels = _decoded(image, geometry)
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _reason(image, error)
    return pixels.reshape(side, side, geometry.channels).transpose(2, 0, 1)


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


class _Unreadable(Exception):
    """A reason that needs no name of an exception before it."""


@contextmanager
def _opened(file: EncodedImage) -> Iterator[Image.Image]:
    """The file's header, of a format and a mode that are read."""
    if isinstance(file, Path) and not file.is_file():  # a pipe would keep its reader waiting
        raise _Unreadable("not a file" if file.exists() else "no such file")
    if isinstance(file, Path) and Image.MAX_IMAGE_PIXELS is not None:
        size, most = file.stat().st_size, BYTES_A_PIXEL * Image.MAX_IMAGE_PIXELS
        if size > most:  # some formats are read whole before they say what they are
            raise _Unreadable(f"a file of {size:,} bytes; need at most {most:,}")
    with Image.open(file, formats=_formats()) as image:
        _require_bounded(image)
        yield image


def _require_bounded(image: Image.Image) -> None:
    """Refuse what would take too much memory, or has no white."""
    pixels, most = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if most is not None and pixels > most:
        raise _Unreadable(f"too many pixels to be decoded: {pixels:,}; need at most {most:,}")
    if image.mode in UNBOUNDED:
        raise _Unreadable(
            f"its values are of 32 bits ({image.mode}), of which nobody knows which is white; "
            "store 8 or 16 bits a channel"
        )


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _header(file: EncodedImage) -> tuple[str, int] | str:
    """Mode and short side, or the reason why there is none."""
    try:
        with _opened(file) as image:
            return image.mode, min(image.size)
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _reason(file, error)


def _decoded(file: EncodedImage, geometry: Geometry) -> NDArray[np.uint8]:
    """The central square of a file, upright; of a large one while no other thread has one."""
    side = geometry.pixels
    with _opened(file) as image:
        full = image.width * image.height
        image.draft(None, (2 * side, 2 * side))  # lets JPEG skip detail we would average away
        progressive = "progressive" in image.info
        held = full if progressive else image.width * image.height
        turn: AbstractContextManager[object] = _alone if held > LARGE else nullcontext()
        with turn:
            ImageOps.exif_transpose(image, in_place=True)
            return _centre(image, geometry)


def _centre(upright: Image.Image, geometry: Geometry) -> NDArray[np.uint8]:
    """The central square of a whole image, in the mode asked for."""
    image, side = _converted(upright, geometry.mode), geometry.pixels
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), _FILTERS[geometry.interpolation], box=box))


def _converted(image: Image.Image, mode: Mode) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _reason(image: EncodedImage | Image.Image, error: Exception) -> str:
    if isinstance(error, _Unreadable):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # of twice as many Pillow says so itself
        return f"too many pixels to be decoded: {error}"
    if not isinstance(error, UnidentifiedImageError) or isinstance(image, Image.Image):
        return f"{type(error).__name__}: {error}"
    with image.open("rb") if isinstance(image, Path) else BytesIO(image.getvalue()) as content:
        head = content.read(24)
    if not head:
        return "an empty file"
    return f"not an image: it begins with {head!r}; {', '.join(FORMATS)} are read"


def _mapped(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``map`` over a pool of threads, in chunks and in order."""
    threads = _threads()
    size = min(CHUNK, max(1, len(items) // threads))  # a batch of few images keeps all busy, too
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(threads) as pool:
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
def _quiet_pillow() -> Iterator[None]:
    """Remarks on metadata are of no concern, and an image of too many pixels is refused here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
