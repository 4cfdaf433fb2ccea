"""What is done to the images of a run, as data."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scalesearch.recipe.checks import Check, require_all

AugmentationPolicy: TypeAlias = Literal["none", "autoaugment", "randaugment", "trivialaugment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of images in training, each by itself; 0, None or "none" leaves one out.

    ``crop``: a shift of up to this fraction of the side in each direction, filled by reflection.
    ``flip``: mirror half of the images left to right; None leaves it to the data (digits are not
    mirrored). ``resized_crop``: a window of this least fraction of the area, up to all of it, of
    aspect 3/4 to 4/3, resized (arXiv:1409.4842). ``rotation``: up to this many degrees either way;
    ``shift``: up to this fraction of the side; both fill with the nearest pixel. ``jitter``: range
    of brightness, contrast, saturation (factors 1 +- x) and hue (turns +- x, at most 0.5).
    ``cutout``: a square of this fraction of the side becomes the mean (arXiv:1708.04552).
    ``erasing``: the probability that a rectangle of 2% to 33% of the area becomes noise
    (arXiv:1708.04896). ``mixup``, ``cutmix``: alpha of the Beta distribution of the mixture with
    another image of the batch (arXiv:1710.09412, 1905.04899); where both are given, each batch's
    image takes one or the other by a coin. ``policy``: AutoAugment, RandAugment or TrivialAugment
    before all else (needs kornia). ``normalisation``: by the training images' own mean and
    deviation, or by ImageNet's.
    """

    crop: float = 0.125
    flip: bool | None = None
    resized_crop: float | None = None
    rotation: float = 0.0
    shift: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    cutout: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    policy: AugmentationPolicy = "none"
    normalisation: Literal["data", "imagenet"] = "data"

    def __post_init__(self) -> None:
        colours, hue = self.jitter[:3], self.jitter[3]
        require_all(
            self,
            Check("crop", 0 <= self.crop <= 0.5, "0 to 0.5"),
            Check(
                "resized_crop",
                self.resized_crop is None or 0 < self.resized_crop <= 1,
                "a fraction of the area above 0",
            ),
            Check("rotation", 0 <= self.rotation <= 180, "0 to 180 degrees"),
            Check("shift", 0 <= self.shift <= 0.5, "0 to 0.5"),
            Check(
                "jitter",
                all(0 <= c <= 1 for c in colours) and 0 <= hue <= 0.5,
                "three of 0 to 1 and a hue of 0 to 0.5",
            ),
            Check("cutout", 0 <= self.cutout <= 1, "0 to 1"),
            Check("erasing", 0 <= self.erasing <= 1, "a probability"),
            Check("mixup", 0 <= self.mixup < math.inf, "at least 0"),
            Check("cutmix", 0 <= self.cutmix < math.inf, "at least 0"),
        )
