"""Classify images with a network: inputs of many forms, predictions in turn."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from scalesearch.data.augmentation.pipeline import evaluation_inputs
from scalesearch.data.decoding import EncodedImage, Mode, StoredFormat, decode_squares
from scalesearch.data.image_listing import EXTENSIONS
from scalesearch.data.preparation import MAX_PIXELS, Preparation
from scalesearch.deploy.predictions import Prediction, UnreadableImage, class_labels, probabilities
from scalesearch.errors import DataError, WeightsError
from scalesearch.models.custom_model import code_allowed
from scalesearch.training.device import resolve_device
from scalesearch.training.network_file import read_network

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""The path or the bytes of a file; an image of Pillow; or pixels, uint8 or uint16 of shape (H, W),
(H, W, 1), (H, W, 3) or, with transparency, (H, W, 4).
"""

CHANNELS = (1, 3, 4)


def to_decodable(image: ImageInput) -> EncodedImage | Image.Image:
    """Return the same image in a form that decoding takes.

    Raises TypeError for other types, ValueError for an array of another form.
    """
    match image:
        case str() | os.PathLike():
            return Path(image)
        case bytes():
            return BytesIO(image)
        case Image.Image():
            return image
        case np.ndarray():
            return _image_from_array(image)
    raise TypeError(
        "need an image's path, its bytes, an image of Pillow or an array, got "
        f"{type(image).__name__}; predict_batch takes several"
    )


def image_name(image: ImageInput, index: int) -> str:
    """Path of an image, or its index among those given, from 0."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {index}"


def _image_from_array(pixels: NDArray[Any]) -> Image.Image:
    shape, dtype = pixels.shape, pixels.dtype
    is_image_shape = len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS)
    if not is_image_shape or dtype not in (np.uint8, np.uint16) or 0 in shape:
        raise ValueError(
            "need uint8 or uint16 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {dtype} of shape {shape}"
        )
    if dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    contiguous_pixels = pixels[..., 0] if len(shape) == 3 and shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(contiguous_pixels))


IMAGE_SUFFIXES = EXTENSIONS | {".avif", ".jfif", ".jp2", ".pgm", ".ppm", ".tif", ".tiff"}
"""Suffixes, in any case, of files in a folder that are taken for images."""

OUTSIDE_LINK = "a link that leads out of the folder; name its target to classify it"
FOLDER_LINK = "a link to a folder, which is not followed; name its target to classify it"


def image_paths(paths: Iterable[str | Path]) -> Iterator[Path | UnreadableImage]:
    """Files as named, and all images in and below folders, in order.

    Unreadable folders, and links that lead out of a folder or to another, come as refused. Hidden
    files and folders are ignored. Only the names of one folder at a time are in memory.
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
            yield UnreadableImage(
                str(current_folder), f"a folder that cannot be read: {error.strerror}"
            )
            continue
        for name, is_link, is_folder in children:
            if not is_folder:
                yield from _image_path(current_folder / name, root, is_link)
        remaining_folders += [
            current_folder / name for name, _, is_folder in reversed(children) if is_folder
        ]


def _image_path(path: Path, root: Path, is_link: bool) -> Iterator[Path | UnreadableImage]:
    """Return the file, if its suffix is an image's; a link only to a file in the same folder."""
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


BATCH_SIZE = 64
"""Default number of images decoded and classified at once."""

Item = TypeVar("Item")


class _PendingBatch(NamedTuple):
    """A batch in progress.

    The names of its images, the reason or None for each, and the logits of those without a reason,
    which may still be in computation.
    """

    names: Sequence[str]
    reasons: Sequence[str | None]
    logits: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A network in use.

    ``network``: moved to the device and set to evaluation mode. ``preparation``: see
    ``data.preparation.Preparation``. ``device``: auto, cpu or cuda. Images are decoded as in
    training, so the logits of a test image are those of training.
    """

    network: nn.Module
    preparation: Preparation
    device: str = "auto"
    name: str = ""

    def __post_init__(self) -> None:
        preparation = self.preparation
        if max(preparation.stored, preparation.pixels) > MAX_PIXELS:
            raise WeightsError(
                f"preparation: need at most {MAX_PIXELS} pixels per side, got stored="
                f"{preparation.stored}, pixels={preparation.pixels}; write the file with fewer"
            )
        object.__setattr__(self, "device", resolve_device(self.device))
        self.network.to(self.device).eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def read(
        cls, path: str | Path, device: str = "auto", *, allow_code: bool = False
    ) -> "Classifier":
        """Read a network's file. ``allow_code``: allow the code of a custom model.

        Raises WeightsError for a file that is not one of our networks, or has no preparation.
        """
        with code_allowed(allow_code):
            saved_network = read_network(path)
        if saved_network.preparation is None:
            raise WeightsError(
                f"{path}: need a preparation, which says how an image becomes the network's input, "
                "got none; write the file again with one (`write_network(..., preparation)`)"
            )
        return cls(
            saved_network.network,
            saved_network.preparation,
            device,
            saved_network.name or Path(path).stem,
        )

    def predict(self, image: ImageInput) -> Prediction:
        """Classify one image. Raises DataError for an unreadable image."""
        (prediction,) = self.predict_batch([image], batch_size=1)
        if isinstance(prediction, UnreadableImage):
            raise DataError(f"{prediction.image}: {prediction.reason}; give another image")
        return prediction

    def predict_batch(
        self, images: Iterable[ImageInput | UnreadableImage], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction | UnreadableImage]:
        """Classify images in turn; an unreadable one gives the reason.

        Images refused before, as some of ``image_paths`` are, pass through. At most two batches
        are in memory. Raises TypeError or ValueError for objects that are no images, see
        ``ImageInput``.
        """
        if batch_size < 1:
            raise ValueError(f"need batch_size >= 1, got batch_size={batch_size}")
        max_pending = _max_pending_batches(self.device)
        pending: deque[_PendingBatch] = deque()
        for batch in _item_batches(enumerate(images), batch_size):
            pending.append(self._start_batch(batch))
            if len(pending) > max_pending:
                yield from self._predictions(pending.popleft())
        while pending:
            yield from self._predictions(pending.popleft())

    def _start_batch(
        self, batch: Sequence[tuple[int, ImageInput | UnreadableImage]]
    ) -> _PendingBatch:
        names = [
            image.image if isinstance(image, UnreadableImage) else image_name(image, number)
            for number, image in batch
        ]
        images = [
            to_decodable(image) for _, image in batch if not isinstance(image, UnreadableImage)
        ]
        side, channels = self.preparation.stored, self.preparation.channels
        mode: Mode = "L" if channels == 1 else "RGB"
        pixels = np.empty((len(images), channels, side, side), dtype=np.uint8)
        decode_errors = decode_squares(
            images, StoredFormat(side, mode, self.preparation.interpolation), pixels
        )
        decoded_rows = [row for row, reason in enumerate(decode_errors) if reason is None]
        images_BCHW = torch.from_numpy(
            pixels if len(decoded_rows) == len(decode_errors) else pixels[decoded_rows]
        )
        remaining_errors = iter(decode_errors)
        reasons = [
            image.reason if isinstance(image, UnreadableImage) else next(remaining_errors)
            for _, image in batch
        ]
        return _PendingBatch(names, reasons, self.logits(images_BCHW))

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """Logits (B, K), float32 on the device, of stored images (uint8)."""
        if not len(images_BCHW):
            return torch.empty(0, 1)
        view, resolution = self.preparation.view(), self.preparation.pixels
        with torch.inference_mode():
            logits_BK: Tensor = self.network(
                evaluation_inputs(images_BCHW.to(self.device), view, resolution)
            ).float()
        return logits_BK

    def _predictions(self, batch: _PendingBatch) -> Iterator[Prediction | UnreadableImage]:
        logits_BK = batch.logits.cpu().numpy()
        names = class_labels(self.preparation.class_names, logits_BK.shape[1])
        rows = iter(logits_BK)
        for image, reason in zip(batch.names, batch.reasons, strict=True):
            if reason is not None:
                yield UnreadableImage(image, reason)
                continue
            logits = next(rows)
            if not np.isfinite(logits).all():
                yield UnreadableImage(
                    image, "the network's logits are not finite; check its weights"
                )
                continue
            yield Prediction(
                image, names, logits, probabilities(logits, self.preparation.temperature)
            )


def _item_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _max_pending_batches(device: str) -> int:
    """Batches in progress: a GPU computes one while the next is decoded."""
    return int(device != "cpu")
