"""A network with all that makes an image its input and its logits an answer."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from scalesearch.data import evaluation_inputs
from scalesearch.data.decoding import StoredFormat, Mode, decode_squares
from scalesearch.errors import DataError, WeightsError
from scalesearch.nets import code_allowed
from scalesearch.predict.pictures import ImageInput, to_decodable, image_name
from scalesearch.predict.prediction import Prediction, UnreadableImage, class_labels, probabilities
from scalesearch.training.device import resolve_device
from scalesearch.weights import Preparation, read_network
from scalesearch.weights.preparation import MAX_PIXELS

BATCH_SIZE = 64
"""Images decoded and shown at once, if nothing is said."""

Item = TypeVar("Item")


class _PendingBatch(NamedTuple):
    """A batch on its way: its images' names, the reason or None for each, and the logits of those
    without a reason, which may still be being computed."""

    names: Sequence[str]
    reasons: Sequence[str | None]
    logits: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A network in use.

    ``network``: moved to the device and put into evaluation mode. ``preparation``: see
    ``weights.Preparation``. ``device``: auto, cpu or cuda. Images are decoded as training decodes
    them, so that the logits of a test image are those that training found.
    """

    network: nn.Module
    preparation: Preparation
    device: str = "auto"
    name: str = ""

    def __post_init__(self) -> None:
        preparation = self.preparation
        if max(preparation.resize_pixels, preparation.pixels) > MAX_PIXELS:
            raise WeightsError(
                f"preparation: need at most {MAX_PIXELS} pixels per side, got stored="
                f"{preparation.resize_pixels}, pixels={preparation.pixels}; write it with others"
            )
        object.__setattr__(self, "device", resolve_device(self.device))
        self.network.to(self.device).eval()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def read(
        cls, path: str | Path, device: str = "auto", *, allow_code: bool = False
    ) -> "Classifier":
        """The network in a file. ``allow_code``: of one that the code of module:factory makes.

        Raises WeightsError for a file that is no network of ours, or has no preparation.
        """
        with code_allowed(allow_code):
            saved_network = read_network(path)
        if saved_network.preparation is None:
            raise WeightsError(
                f"{path}: need a preparation, which says how an image becomes the network's input, "
                "got none; write the file again with one (`write_network(..., preparation)`)"
            )
        return cls(saved_network.network, saved_network.preparation, device, saved_network.name or Path(path).stem)

    def predict(self, image: ImageInput) -> Prediction:
        """The answer to one image. Raises DataError for one that cannot be read."""
        (prediction,) = self.predict_batch([image], batch_size=1)
        if isinstance(prediction, UnreadableImage):
            raise DataError(f"{prediction.image}: {prediction.reason}; give another image")
        return prediction

    def predict_batch(
        self, images: Iterable[ImageInput | UnreadableImage], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction | UnreadableImage]:
        """The answer to each image in turn, or why it has none; what is refused already, as some
        of ``images_in`` is, passes through.

        However many images there are, no more than two batches of them are in memory. Raises
        TypeError or ValueError for what is no image at all, see ``Picture``.
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

    def _start_batch(self, batch: Sequence[tuple[int, ImageInput | UnreadableImage]]) -> _PendingBatch:
        unreadable = [item if isinstance(item, UnreadableImage) else None for _, item in batch]
        names = [
            one.image if isinstance(one, UnreadableImage) else image_name(one, number) for number, one in batch
        ]
        images = [to_decodable(one) for _, one in batch if not isinstance(one, UnreadableImage)]
        side, channels = self.preparation.resize_pixels, self.preparation.channels
        mode: Mode = "L" if channels == 1 else "RGB"
        pixels = np.empty((len(images), channels, side, side), dtype=np.uint8)
        decode_errors = decode_squares(images, StoredFormat(side, mode, self.preparation.interpolation), pixels)
        decoded_rows = [row for row, reason in enumerate(decode_errors) if reason is None]
        images_BCHW = torch.from_numpy(pixels if len(decoded_rows) == len(decode_errors) else pixels[decoded_rows])
        remaining = iter(decode_errors)
        reasons = [next(remaining) if one is None else one.reason for one in unreadable]
        return _PendingBatch(names, reasons, self.logits(images_BCHW))

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The answers (B, K), float32 on the device, to images as they are stored (uint8)."""
        if not len(images_BCHW):
            return torch.empty(0, 1)
        view, resolution = self.preparation.view(), self.preparation.pixels
        with torch.inference_mode():
            logits_BK: Tensor = self.network(evaluation_inputs(images_BCHW.to(self.device), view, resolution)).float()
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
                yield UnreadableImage(image, "the network's answer is not a number: are its weights whole?")
                continue
            yield Prediction(
                image, names, logits, probabilities(logits, self.preparation.temperature)
            )


def _item_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _max_pending_batches(device: str) -> int:
    """Batches that may be on their way: a GPU computes one while the next is decoded."""
    return int(device != "cpu")
