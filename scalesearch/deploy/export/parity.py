"""Parity of an exported network with its original; optional libraries."""

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
"""Loggers that report at every import or export what the user cannot change."""


def import_extra(module: str, format_name: str) -> Any:
    """Import a module of the extra ``export``. Raises ExportError, naming the format."""
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
    """Silence reports of exporters that concern only their own code."""
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
"""Prepared images (B, C, R, R) to logits (B, K)."""

MAX_LOGIT_DIFFERENCE = 1e-4
"""Largest difference of a logit, relative to the largest one in magnitude or to 1."""

MIN_SAME_PREDICTIONS = 0.5
"""Least fraction of real images with the same prediction for an int8 network.

Rounding to eight bits changes a few in a hundred; a network that changes half of them is broken.
"""

MIN_FAITHFUL_PREDICTIONS = 0.9
"""Least fraction of real images on which a file predicts as the program it was written from.

Logits cannot be compared: a sum one float32 step away may round differently.
"""

RANDOM_BATCH_SIZES = (1, 3)
"""Sizes of the random batches: one image, and a number that no network was traced with."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Comparison of two networks' logits on the same images.

    ``difference``: largest difference of a logit, relative to the largest logit in magnitude, or
    to 1. ``same_fraction``: fraction of the images with the same prediction.
    """

    images: int
    difference: float
    same_fraction: float


def parity(
    reference_logits: LogitsFunction, exported_logits: LogitsFunction, batches: Iterable[Tensor]
) -> Parity:
    """Compare both networks' logits on all batches."""
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
    """Raise ExportError if logits differ by more than ``MAX_LOGIT_DIFFERENCE``."""
    if not parity_result.difference <= MAX_LOGIT_DIFFERENCE:  # also refuses NaN
        raise ExportError(
            f"{where}: need logits that differ by at most {MAX_LOGIT_DIFFERENCE:g} of the largest "
            f"from PyTorch's, got {parity_result.difference:.2g} on {parity_result.images} "
            f"{image_kind} images; nothing was written; export in another format, and report this "
            "network"
        )


def require_similar_predictions(where: str, parity_result: Parity) -> None:
    """Raise ExportError if too few predictions on real images are the same."""
    if not parity_result.same_fraction >= MIN_SAME_PREDICTIONS:
        raise ExportError(
            f"{where}: need the float network's prediction on at least "
            f"{MIN_SAME_PREDICTIONS:.0%} of the images, got {parity_result.same_fraction:.0%} of "
            f"{parity_result.images}; nothing was written; calibrate on more images, or train with "
            "quantisation (--format int8-qat)"
        )


def require_faithful_predictions(where: str, parity_result: Parity) -> None:
    """Raise ExportError if a file predicts unlike the program it was written from."""
    if not parity_result.same_fraction >= MIN_FAITHFUL_PREDICTIONS:
        raise ExportError(
            f"{where}: need the rounded program's prediction on at least "
            f"{MIN_FAITHFUL_PREDICTIONS:.0%} of the images, got "
            f"{parity_result.same_fraction:.0%} of {parity_result.images}; nothing was written; "
            "export in another format, and report this network"
        )
