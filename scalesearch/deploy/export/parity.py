"""Libraries that only some exports need, and what they print that means nothing to a user.

Whether an exported network answers as the one that it was made from.
"""

import importlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from scalesearch.errors import ExportError

NOISY_LOGGERS = (
    "torchao",
    "torch.utils._pytree",
    "torch.export",
    "torch.onnx",
    "onnxscript",
    "onnx_ir",
)
"""Loggers that report at every import or export what nobody here can mend."""


def import_extra(module: str, format_name: str) -> Any:
    """Return a module of the extra ``export``. Raises ExportError, naming ``form``, where it is not."""
    try:
        with silence_exporters():
            return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ExportError(
            f"--format {format_name}: need {library}, got {error}; pip install "
            "'scalesearch[export]'"
        ) from error


@contextmanager
def silence_exporters() -> Iterator[None]:
    """Within, exporters do not report what concerns their own code alone."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch's exporter copies tree specifications of a class that torch has deprecated.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


LogitsFunction: TypeAlias = Callable[[Tensor], Tensor]
"""Images (B, C, R, R), as a network is shown them, to logits (B, K)."""

MAX_LOGIT_DIFFERENCE = 1e-4
"""By how much a logit may differ, relative to the largest one in magnitude or to 1."""

MIN_SAME_PREDICTIONS = 0.5
"""The part of real images on which an int8 network has to give the same answer, at least. Rounding
to eight bits costs a few in a hundred; what differs on half of them is broken."""

MIN_FAITHFUL_PREDICTIONS = 0.9
"""The part of real images on which a file has to give the answer of the rounded program that it was
written from. Logits cannot be compared: a sum that is one float32 step away may round otherwise."""

RANDOM_BATCH_SIZES = (1, 3)
"""Images in the random batches: one alone, and a number that no network was traced with."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How two networks answer the same images.

    ``difference``: the largest of a logit, relative to the largest logit in magnitude, or to 1.
    ``same``: the part of the images with the same answer.
    """

    images: int
    difference: float
    same_fraction: float


def parity(
    reference_logits: LogitsFunction, exported_logits: LogitsFunction, batches: Iterable[Tensor]
) -> Parity:
    """Both networks' answers to all the batches, compared."""
    pairs = [(reference_logits(images), exported_logits(images)) for images in batches]
    reference_NK, exported_NK = (
        torch.cat(batch_logits) for batch_logits in zip(*pairs, strict=True)
    )
    scale = max(1.0, float(reference_NK.abs().max()))
    difference = float((reference_NK - exported_NK).abs().max()) / scale
    same_fraction = (reference_NK.argmax(1) == exported_NK.argmax(1)).double().mean()
    return Parity(len(reference_NK), difference, float(same_fraction))


def random_batches(
    channels: int, pixels: int, counts: Sequence[int] = RANDOM_BATCH_SIZES
) -> list[Tensor]:
    """Batches of normal noise (B, C, R, R), the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, channels, pixels, pixels, generator=generator) for count in counts]


def require_close_logits(where: str, parity_result: Parity, image_kind: str) -> None:
    """Raise ExportError where logits differ by more than ``TOLERANCE`` on images of this kind."""
    if not parity_result.difference <= MAX_LOGIT_DIFFERENCE:  # nor may it be NaN
        raise ExportError(
            f"{where}: need logits that differ by at most {MAX_LOGIT_DIFFERENCE:g} of the largest "
            "from "
            f"PyTorch's, got {parity_result.difference:.2g} on {parity_result.images} "
            f"{image_kind} images; nothing was "
            "written; export in another format, and report this network"
        )


def require_similar_predictions(where: str, parity_result: Parity) -> None:
    """Raise ExportError where fewer than ``LEAST_SAME`` of real images have the same answer."""
    if not parity_result.same_fraction >= MIN_SAME_PREDICTIONS:
        raise ExportError(
            f"{where}: need the float network's answer on at least {MIN_SAME_PREDICTIONS:.0%} of "
            "the "
            f"images, got {parity_result.same_fraction:.0%} of {parity_result.images}; nothing "
            "was written; calibrate on "
            "more images, or train with quantisation (--format int8-qat)"
        )


def require_faithful_predictions(where: str, parity_result: Parity) -> None:
    """Raise ExportError where a file answers unlike the rounded program it was written from."""
    if not parity_result.same_fraction >= MIN_FAITHFUL_PREDICTIONS:
        raise ExportError(
            f"{where}: need the rounded program's answer on at least "
            f"{MIN_FAITHFUL_PREDICTIONS:.0%} of the "
            f"images, got {parity_result.same_fraction:.0%} of {parity_result.images}; nothing "
            "was written; export in "
            "another format, and report this network"
        )
