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

from scalesearch.data import shown
from scalesearch.data.decoding import Geometry, Mode, squares
from scalesearch.errors import DataError, WeightsError
from scalesearch.nets import code_allowed
from scalesearch.predict.pictures import Picture, decodable, name_of
from scalesearch.predict.prediction import Prediction, Refused, named, probabilities
from scalesearch.training.device import chosen_device
from scalesearch.weights import Preparation, read_network
from scalesearch.weights.preparation import MOST_PIXELS

BATCH = 64
"""Images decoded and shown at once, if nothing is said."""

Item = TypeVar("Item")


class _Launched(NamedTuple):
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
        if max(preparation.stored, preparation.pixels) > MOST_PIXELS:
            raise WeightsError(
                f"preparation: need at most {MOST_PIXELS} pixels per side, got stored="
                f"{preparation.stored}, pixels={preparation.pixels}; write it with others"
            )
        object.__setattr__(self, "device", chosen_device(self.device))
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
            saved = read_network(path)
        if saved.preparation is None:
            raise WeightsError(
                f"{path}: need a preparation, which says how an image becomes the network's input, "
                "got none; write the file again with one (`write_network(..., preparation)`)"
            )
        return cls(saved.network, saved.preparation, device, saved.name or Path(path).stem)

    def predict(self, image: Picture) -> Prediction:
        """The answer to one image. Raises DataError for one that cannot be read."""
        (answer,) = self.predict_batch([image], batch_size=1)
        if isinstance(answer, Refused):
            raise DataError(f"{answer.image}: {answer.reason}; give another image")
        return answer

    def predict_batch(
        self, images: Iterable[Picture | Refused], batch_size: int = BATCH
    ) -> Iterator[Prediction | Refused]:
        """The answer to each image in turn, or why it has none; what is refused already, as some
        of ``images_in`` is, passes through.

        However many images there are, no more than two batches of them are in memory. Raises
        TypeError or ValueError for what is no image at all, see ``Picture``.
        """
        if batch_size < 1:
            raise ValueError(f"need batch_size >= 1, got batch_size={batch_size}")
        ahead = _ahead(self.device)
        launched: deque[_Launched] = deque()
        for batch in _batches(enumerate(images), batch_size):
            launched.append(self._launched(batch))
            if len(launched) > ahead:
                yield from self._answers(launched.popleft())
        while launched:
            yield from self._answers(launched.popleft())

    def _launched(self, batch: Sequence[tuple[int, Picture | Refused]]) -> _Launched:
        refused = [one if isinstance(one, Refused) else None for _, one in batch]
        names = [
            one.image if isinstance(one, Refused) else name_of(one, number) for number, one in batch
        ]
        images = [decodable(one) for _, one in batch if not isinstance(one, Refused)]
        side, channels = self.preparation.stored, self.preparation.channels
        mode: Mode = "L" if channels == 1 else "RGB"
        pixels = np.empty((len(images), channels, side, side), dtype=np.uint8)
        found = squares(images, Geometry(side, mode, self.preparation.interpolation), pixels)
        whole = [row for row, reason in enumerate(found) if reason is None]
        images_BCHW = torch.from_numpy(pixels if len(whole) == len(found) else pixels[whole])
        remaining = iter(found)
        reasons = [next(remaining) if one is None else one.reason for one in refused]
        return _Launched(names, reasons, self.logits(images_BCHW))

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The answers (B, K), float32 on the device, to images as they are stored (uint8)."""
        if not len(images_BCHW):
            return torch.empty(0, 1)
        view, side = self.preparation.view(), self.preparation.pixels
        with torch.inference_mode():
            logits_BK: Tensor = self.network(shown(images_BCHW.to(self.device), view, side)).float()
        return logits_BK

    def _answers(self, batch: _Launched) -> Iterator[Prediction | Refused]:
        logits_BK = batch.logits.cpu().numpy()
        names = named(self.preparation.class_names, logits_BK.shape[1])
        rows = iter(logits_BK)
        for image, reason in zip(batch.names, batch.reasons, strict=True):
            if reason is not None:
                yield Refused(image, reason)
                continue
            logits = next(rows)
            if not np.isfinite(logits).all():
                yield Refused(image, "the network's answer is not a number: are its weights whole?")
                continue
            yield Prediction(
                image, names, logits, probabilities(logits, self.preparation.temperature)
            )


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _ahead(device: str) -> int:
    """Batches that may be on their way: a GPU computes one while the next is decoded."""
    return int(device != "cpu")
