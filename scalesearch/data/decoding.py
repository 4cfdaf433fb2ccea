"""Decode image files to squares of uint8, in a small pool of threads."""

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

OnImageProgress = Callable[[int, int], None]
"""Called with the done and the total number of files decoded or bytes downloaded."""

Mode = Literal["L", "RGB"]
Interpolation = Literal["bilinear", "bicubic"]
EncodedImage = Path | BytesIO
"""An encoded image, on disk or in memory."""

Failures = dict[str, str]
"""Reason for each unreadable file, by name."""

T = TypeVar("T")
R = TypeVar("R")

READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""Image formats that are read. Pillow starts other programs for some of its formats (EPS); no image
file may do that.
"""

GREY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
UNBOUNDED_MODES = frozenset({"I", "F"})
"""Modes of 32-bit numbers, whose full brightness the file does not state."""

MAX_BYTES_PER_PIXEL = 8
"""Four channels of 16 bits; no image file needs more."""

FILES_PER_TASK = 64  # files per task: far fewer tasks than files, but the progress bar still moves
MAX_THREADS = 8
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LARGE_IMAGE_PIXELS = (
    1 << 24
)  # pixels; such images are decoded one at a time, or threads would use gigabytes
_large_image_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """Storage of all images of a folder: ``pixels`` per side, grey or colour.

    ``interpolation`` resizes them (antialiased where they get smaller).
    """

    pixels: int
    mode: Mode
    interpolation: Interpolation = "bilinear"

    @property
    def channels(self) -> int:
        return len(self.mode)


def common_stored_format(files: Sequence[EncodedImage], pixels: int | None) -> StoredFormat | None:
    """Storage format that the files' headers ask for; None if no file can be read.

    Grey only if all are grey. If ``pixels`` is None: the smallest short side, so nothing is
    enlarged.
    """
    with _silence_pillow():
        headers = list(_map_in_threads(lambda row: _read_header(files[row]), range(len(files))))
    readable_headers = [header for header in headers if not isinstance(header, str)]
    if not readable_headers:
        return None
    mode: Mode = "L" if all(mode in GREY_MODES for mode, _ in readable_headers) else "RGB"
    return StoredFormat(pixels or min(short_side for _, short_side in readable_headers), mode)


def decode(
    files: Sequence[EncodedImage],
    names: Sequence[str],
    stored_format: StoredFormat,
    output: NDArray[np.uint8],
    progress: OnImageProgress | None = None,
) -> Failures:
    """Write each file's square to its row of ``output``; return the failures."""
    reasons = decode_squares(files, stored_format, output, progress)
    named_reasons = zip(names, reasons, strict=True)
    return {name: reason for name, reason in named_reasons if reason is not None}


def decode_squares(
    images: Sequence[EncodedImage | Image.Image],
    stored_format: StoredFormat,
    output: NDArray[np.uint8],
    progress: OnImageProgress | None = None,
) -> list[str | None]:
    """Write each image's square to its row of ``output``; return the reasons.

    The row of a failed image is void. See ``decode_square``.
    """

    def decode_row(row: int) -> str | None:
        """Decode an image into its row; return why it cannot be read, or None."""
        pixels = decode_square(images[row], stored_format)
        if isinstance(pixels, str):
            return pixels
        output[row] = pixels
        return None

    reasons: list[str | None] = []
    with _silence_pillow():
        for reason in _map_in_threads(decode_row, range(len(images))):
            reasons.append(reason)
            done = len(reasons)
            if progress is not None and (done % FILES_PER_TASK == 0 or done == len(images)):
                progress(done, len(images))
    return reasons


def decode_square(
    image: EncodedImage | Image.Image, stored_format: StoredFormat
) -> NDArray[np.uint8] | str:
    """Upright central square (C, H, W), or the reason for a failure.

    The EXIF orientation defines upright. Transparency is dropped, which shows the colours beneath,
    as the loaders of torchvision, timm and Keras do. Of 16 bits a channel the upper eight are
    taken, of an animation the first frame. More than ``PIL.Image.MAX_IMAGE_PIXELS`` (89 million)
    pixels are refused in any format; a JPEG too, since a progressive one is held whole at any
    requested size.
    """
    side = stored_format.pixels
    try:
        if isinstance(image, Image.Image):  # belongs to the caller and stays open
            _require_bounded(image)
            pixels = _centre_square(ImageOps.exif_transpose(image), stored_format)
        else:
            pixels = _decode_file(image, stored_format)
    except Exception as error:  # decoders raise anything on broken bytes
        return _failure_reason(image, error)
    return pixels.reshape(side, side, stored_format.channels).transpose(2, 0, 1)


def resized_images(images: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Grey or colour images (N, C, H, W) at another size, averaged if smaller."""
    count, channels = images.shape[:2]

    def resize_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pil_image = Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0).copy())
        small_pixels = np.asarray(pil_image.resize((pixels, pixels), Image.Resampling.BILINEAR))
        return small_pixels.reshape(pixels, pixels, channels).transpose(2, 0, 1)

    result = np.empty((count, channels, pixels, pixels), dtype=np.uint8)
    for row, small in enumerate(_map_in_threads(resize_image, list(images))):
        result[row] = small
    return result


class _UnreadableFile(Exception):
    """A reason that needs no exception name in front."""


@contextmanager
def _open_image(file: EncodedImage) -> Iterator[Image.Image]:
    """Open the file's header; its format and mode must be readable."""
    if isinstance(file, Path) and not file.is_file():  # a pipe would block its reader
        raise _UnreadableFile("not a file" if file.exists() else "no such file")
    if isinstance(file, Path) and Image.MAX_IMAGE_PIXELS is not None:
        size, max_bytes = file.stat().st_size, MAX_BYTES_PER_PIXEL * Image.MAX_IMAGE_PIXELS
        if size > max_bytes:  # some formats are read whole before their mode is known
            raise _UnreadableFile(f"a file of {size:,} bytes; need at most {max_bytes:,}")
    with Image.open(file, formats=_formats()) as image:
        _require_bounded(image)
        yield image


def _require_bounded(image: Image.Image) -> None:
    """Refuse images that need too much memory or have no defined white."""
    pixels, max_pixels = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if max_pixels is not None and pixels > max_pixels:
        raise _UnreadableFile(
            f"too many pixels to be decoded: {pixels:,}; need at most {max_pixels:,}"
        )
    if image.mode in UNBOUNDED_MODES:
        raise _UnreadableFile(
            f"its values have 32 bits ({image.mode}), so the value of white is unknown; store 8 "
            "or 16 bits a channel"
        )


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``READABLE_FORMATS`` that this Pillow supports."""
    Image.init()
    return tuple(name for name in READABLE_FORMATS if name in Image.OPEN)


def _read_header(file: EncodedImage) -> tuple[str, int] | str:
    """Mode and short side, or the reason for a failure."""
    try:
        with _open_image(file) as image:
            return image.mode, min(image.size)
    except Exception as error:  # decoders raise anything on broken bytes
        return _failure_reason(file, error)


def _decode_file(file: EncodedImage, stored_format: StoredFormat) -> NDArray[np.uint8]:
    """Upright central square of a file; only one thread at a time decodes a large file."""
    side = stored_format.pixels
    with _open_image(file) as image:
        full_pixels = image.width * image.height
        image.draft(None, (2 * side, 2 * side))  # lets JPEG skip detail that averaging would remove
        progressive = "progressive" in image.info
        decoded_pixels = full_pixels if progressive else image.width * image.height
        lock: AbstractContextManager[object] = (
            _large_image_lock if decoded_pixels > LARGE_IMAGE_PIXELS else nullcontext()
        )
        with lock:
            ImageOps.exif_transpose(image, in_place=True)
            return _centre_square(image, stored_format)


def _centre_square(upright: Image.Image, stored_format: StoredFormat) -> NDArray[np.uint8]:
    """Central square of a whole image, in the requested mode."""
    image, side = _convert_mode(upright, stored_format.mode), stored_format.pixels
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), _FILTERS[stored_format.interpolation], box=box))


def _convert_mode(image: Image.Image, mode: Mode) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _failure_reason(image: EncodedImage | Image.Image, error: Exception) -> str:
    if isinstance(error, _UnreadableFile):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # Pillow refuses twice as many by itself
        return f"too many pixels to be decoded: {error}"
    if not isinstance(error, UnidentifiedImageError) or isinstance(image, Image.Image):
        return f"{type(error).__name__}: {error}"
    with image.open("rb") if isinstance(image, Path) else BytesIO(image.getvalue()) as content:
        head = content.read(24)
    if not head:
        return "an empty file"
    return f"not an image: it begins with {head!r}; {', '.join(READABLE_FORMATS)} are read"


def _map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Apply a function in a pool of threads, in chunks and in order."""
    threads = _thread_count()
    chunk_size = min(
        FILES_PER_TASK, max(1, len(items) // threads)
    )  # keeps all threads busy with few images too
    chunks = [items[start : start + chunk_size] for start in range(0, len(items), chunk_size)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
                yield from results
        finally:  # Ctrl-C waits for the running chunks, not for all of them
            pool.shutdown(cancel_futures=True)


def _thread_count() -> int:
    """Processors that this process may use, up to a limit."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        usable = os.cpu_count() or 1
    return min(MAX_THREADS, usable)


@contextmanager
def _silence_pillow() -> Iterator[None]:
    """Silence Pillow's warnings on metadata; too many pixels are refused here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
