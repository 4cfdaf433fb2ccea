"""Whether an exported network answers as the one that it was made from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from scalesearch.errors import ExportError

Answers: TypeAlias = Callable[[Tensor], Tensor]
"""Images (B, C, R, R), as a network is shown them, to logits (B, K)."""

TOLERANCE = 1e-4
"""By how much a logit may differ, relative to the largest one in magnitude or to 1."""

LEAST_SAME = 0.5
"""The part of real images on which an int8 network has to give the same answer, at least. Rounding
to eight bits costs a few in a hundred; what differs on half of them is broken."""

LEAST_FAITHFUL = 0.9
"""The part of real images on which a file has to give the answer of the rounded program that it was
written from. Logits cannot be compared: a sum that is one float32 step away may round otherwise."""

BATCHES = (1, 3)
"""Images in the random batches: one alone, and a number that no network was traced with."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two networks answer the same images.

    ``difference``: the largest of a logit, relative to the largest logit in magnitude, or to 1.
    ``same``: the part of the images with the same answer.
    """

    images: int
    difference: float
    same: float


def agreement(ours: Answers, theirs: Answers, batches: Iterable[Tensor]) -> Agreement:
    """Both networks' answers to all the batches, compared."""
    pairs = [(ours(images), theirs(images)) for images in batches]
    a_NK, b_NK = (torch.cat(side) for side in zip(*pairs, strict=True))
    scale = max(1.0, float(a_NK.abs().max()))
    difference = float((a_NK - b_NK).abs().max()) / scale
    same = (a_NK.argmax(1) == b_NK.argmax(1)).double().mean()
    return Agreement(len(a_NK), difference, float(same))


def random_batches(channels: int, pixels: int, counts: Sequence[int] = BATCHES) -> list[Tensor]:
    """Batches of normal noise (B, C, R, R), the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, channels, pixels, pixels, generator=generator) for count in counts]


def require_equal(where: str, found: Agreement, kind: str) -> None:
    """Raise ExportError where logits differ by more than ``TOLERANCE`` on images of this kind."""
    if not found.difference <= TOLERANCE:  # nor may it be NaN
        raise ExportError(
            f"{where}: need logits that differ by at most {TOLERANCE:g} of the largest from "
            f"PyTorch's, got {found.difference:.2g} on {found.images} {kind} images; nothing was "
            "written; export in another format, and report this network"
        )


def require_similar(where: str, found: Agreement) -> None:
    """Raise ExportError where fewer than ``LEAST_SAME`` of real images have the same answer."""
    if not found.same >= LEAST_SAME:
        raise ExportError(
            f"{where}: need the float network's answer on at least {LEAST_SAME:.0%} of the "
            f"images, got {found.same:.0%} of {found.images}; nothing was written; calibrate on "
            "more images, or train with quantisation (--format int8-qat)"
        )


def require_faithful(where: str, found: Agreement) -> None:
    """Raise ExportError where a file answers unlike the rounded program it was written from."""
    if not found.same >= LEAST_FAITHFUL:
        raise ExportError(
            f"{where}: need the rounded program's answer on at least {LEAST_FAITHFUL:.0%} of the "
            f"images, got {found.same:.0%} of {found.images}; nothing was written; export in "
            "another format, and report this network"
        )
