"""Preparation of an image file for a network; it is stored with the weights."""

import math
from dataclasses import dataclass
from typing import Literal

from scalesearch.config.recipe import Augmentation
from scalesearch.data.augmentation.geometry import InputTransform

Interpolation = Literal["bilinear", "bicubic"]

MAX_PIXELS = 1 << 13
"""Limit per side, stored or shown: no classifier has more; 200 megabytes an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Steps from an image file to a network's input, and from logits to probabilities.

    ``stored``: side to which the central square of an image is resized by ``interpolation`` when
    it is decoded. ``zoom``: factor by which its centre is then enlarged; the middle of ``pixels``
    is shown (see ``InputTransform``). ``pixels``: side of the network's input. ``mean``, ``std``:
    per channel of the network, as fractions of full brightness. ``class_names``: in the order of
    the logits; empty if not known. ``temperature``: divisor of the logits for calibrated
    probabilities (arXiv:1706.04599).

    The customary "resize to 256, crop 224" is ``stored=256, zoom=256 / 224, pixels=224``.
    """

    pixels: int
    stored: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    zoom: float = 1.0
    interpolation: Interpolation = "bilinear"
    class_names: tuple[str, ...] = ()
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("pixels", "stored"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise ValueError(
                f"need a mean and a std for 1 or 3 channels, got {len(self.mean)} and "
                f"{len(self.std)}"
            )
        if not all(map(math.isfinite, self.mean)):
            raise ValueError(f"need a finite mean, got mean={self.mean}")
        positive = {"std": min(self.std), "temperature": self.temperature, "zoom": self.zoom}
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"need {name} > 0, got {name}={getattr(self, name)}")
        zoomed_pixels = round(self.zoom * self.pixels)
        window = round(self.stored * self.pixels / zoomed_pixels) if zoomed_pixels else 0
        if not 1 <= window <= self.stored:
            raise ValueError(
                f"need a zoom that shows 1 to stored={self.stored} pixels, got zoom={self.zoom}"
            )
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"need bilinear or bicubic, got {self.interpolation!r}")

    @property
    def channels(self) -> int:
        return len(self.mean)

    def view(self) -> InputTransform:
        """Transform that makes the network's input of decoded squares."""
        return InputTransform(
            pixels=self.stored,
            mean=self.mean,
            std=self.std,
            flips=False,
            num_classes=len(self.class_names),
            augmentation=Augmentation(),
            zoom=self.zoom,
        )
