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

OnImageProgress = Callable[[int, int], None]
"""Called with what is done and what there is: files decoded, or bytes downloaded."""

Mode = Literal["L", "RGB"]
Interpolation = Literal["bilinear", "bicubic"]
EncodedImage = Path | BytesIO
"""An encoded image, on disk or in memory."""

Failures = dict[str, str]
"""Name of each unreadable file -> the reason."""

T = TypeVar("T")
R = TypeVar("R")

READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""What is read. Of Pillow's other formats some are decoded by other programs (EPS), which no file
that is called an image should be able to start."""

GREY_MODES = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N"})
UNBOUNDED_MODES = frozenset({"I", "F"})
"""Modes of 32-bit numbers, whose full brightness the file does not tell."""

MAX_BYTES_PER_PIXEL = 8
"""Four channels of 16 bits: what no image file needs more of."""

FILES_PER_TASK = 64  # files per task: far fewer tasks than files, and still a moving progress bar
MAX_THREADS = 8
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LARGE_IMAGE_PIXELS = (
    1 << 24
)  # pixels; such images are decoded one at a time, or threads would add up gigabytes
_large_image_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """How all images of a folder are stored: ``pixels`` per side, grey or in colour, resized by
    ``interpolation`` (antialiased where they get smaller)."""

    pixels: int
    mode: Mode
    interpolation: Interpolation = "bilinear"

    @property
    def channels(self) -> int:
        return len(self.mode)


def common_stored_format(files: Sequence[EncodedImage], pixels: int | None) -> StoredFormat | None:
    """What the headers of the files ask for; None where not one of them can be read.

    Grey only if all are grey. Where ``pixels`` is None: the smallest short side, so that nothing
    is enlarged.
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
    """Write each file's square to its row of ``into`` (N, C, H, W); say which could not be read."""
    reasons = decode_squares(files, stored_format, output, progress)
    named_reasons = zip(names, reasons, strict=True)
    return {name: reason for name, reason in named_reasons if reason is not None}


def decode_squares(
    images: Sequence[EncodedImage | Image.Image],
    stored_format: StoredFormat,
    output: NDArray[np.uint8],
    progress: OnImageProgress | None = None,
) -> list[str | None]:
    """Write each image's square to its row of ``into``; for each the reason why that failed, or
    None. A failed image's row is void. See ``square``."""

    def decode_row(row: int) -> str | None:
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
    """The central square (C, H, W), upright, or the reason why there is none.

    Upright: as the EXIF orientation says. Transparency is dropped, which leaves the colours that
    lie beneath it, as the loaders of torchvision, timm and Keras do; of 16 bits a channel the
    upper eight are taken, of a moving picture the first frame. More pixels than
    ``PIL.Image.MAX_IMAGE_PIXELS`` (89 million) are refused, whatever the format: also of a JPEG,
    since a progressive one is held whole, however small it is asked for.
    """
    side = stored_format.pixels
    try:
        if isinstance(image, Image.Image):  # the caller's own, which stays as it is
            _require_bounded(image)
            pixels = _centre_square(ImageOps.exif_transpose(image), stored_format)
        else:
            pixels = _decode_file(image, stored_format)
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _failure_reason(image, error)
    return pixels.reshape(side, side, stored_format.channels).transpose(2, 0, 1)


def resized_images(images: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Grey or colour images (N, C, H, W) at another size, averaged where that is smaller."""
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
    """A reason that needs no name of an exception before it."""


@contextmanager
def _open_image(file: EncodedImage) -> Iterator[Image.Image]:
    """The file's header, of a format and a mode that are read."""
    if isinstance(file, Path) and not file.is_file():  # a pipe would keep its reader waiting
        raise _UnreadableFile("not a file" if file.exists() else "no such file")
    if isinstance(file, Path) and Image.MAX_IMAGE_PIXELS is not None:
        size, max_bytes = file.stat().st_size, MAX_BYTES_PER_PIXEL * Image.MAX_IMAGE_PIXELS
        if size > max_bytes:  # some formats are read whole before they say what they are
            raise _UnreadableFile(f"a file of {size:,} bytes; need at most {max_bytes:,}")
    with Image.open(file, formats=_formats()) as image:
        _require_bounded(image)
        yield image


def _require_bounded(image: Image.Image) -> None:
    """Refuse what would take too much memory, or has no white."""
    pixels, max_pixels = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if max_pixels is not None and pixels > max_pixels:
        raise _UnreadableFile(
            f"too many pixels to be decoded: {pixels:,}; need at most {max_pixels:,}"
        )
    if image.mode in UNBOUNDED_MODES:
        raise _UnreadableFile(
            f"its values are of 32 bits ({image.mode}), of which nobody knows which is white; "
            "store 8 or 16 bits a channel"
        )


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow knows."""
    Image.init()
    return tuple(name for name in READABLE_FORMATS if name in Image.OPEN)


def _read_header(file: EncodedImage) -> tuple[str, int] | str:
    """Mode and short side, or the reason why there is none."""
    try:
        with _open_image(file) as image:
            return image.mode, min(image.size)
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        return _failure_reason(file, error)


def _decode_file(file: EncodedImage, stored_format: StoredFormat) -> NDArray[np.uint8]:
    """The central square of a file, upright; of a large one while no other thread has one."""
    side = stored_format.pixels
    with _open_image(file) as image:
        full_pixels = image.width * image.height
        image.draft(None, (2 * side, 2 * side))  # lets JPEG skip detail we would average away
        progressive = "progressive" in image.info
        decoded_pixels = full_pixels if progressive else image.width * image.height
        lock: AbstractContextManager[object] = (
            _large_image_lock if decoded_pixels > LARGE_IMAGE_PIXELS else nullcontext()
        )
        with lock:
            ImageOps.exif_transpose(image, in_place=True)
            return _centre_square(image, stored_format)


def _centre_square(upright: Image.Image, stored_format: StoredFormat) -> NDArray[np.uint8]:
    """The central square of a whole image, in the mode asked for."""
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
    if isinstance(error, Image.DecompressionBombError):  # of twice as many Pillow says so itself
        return f"too many pixels to be decoded: {error}"
    if not isinstance(error, UnidentifiedImageError) or isinstance(image, Image.Image):
        return f"{type(error).__name__}: {error}"
    with image.open("rb") if isinstance(image, Path) else BytesIO(image.getvalue()) as content:
        head = content.read(24)
    if not head:
        return "an empty file"
    return f"not an image: it begins with {head!r}; {', '.join(READABLE_FORMATS)} are read"


def _map_in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """``map`` over a pool of threads, in chunks and in order."""
    threads = _thread_count()
    chunk_size = min(
        FILES_PER_TASK, max(1, len(items) // threads)
    )  # a batch of few images keeps all busy, too
    chunks = [items[start : start + chunk_size] for start in range(0, len(items), chunk_size)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
                yield from results
        finally:  # Ctrl-C waits for the chunks at work, not for all of them
            pool.shutdown(cancel_futures=True)


def _thread_count() -> int:
    """Processors that this process may use, within reason."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        usable = os.cpu_count() or 1
    return min(MAX_THREADS, usable)


@contextmanager
def _silence_pillow() -> Iterator[None]:
    """Remarks on metadata are of no concern, and an image of too many pixels is refused here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
