"""Random draws of an epoch's augmentation, made on the CPU before it.

Each kind of draw has its own random stream, so recipes that differ in one option see the same draws
in all others. Each row belongs to one image, so neither the order of the images nor the batch size
changes what happens to an image.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalesearch.config.recipe import Augmentation
from scalesearch.seeding import stream_seed

FloatRows = NDArray[np.float32]

BOX_TRIES = 10  # boxes drawn for an image; the first that fits is taken, as in torchvision
CROP_ASPECTS = (3 / 4, 4 / 3)
ERASED_AREAS, ERASED_ASPECTS = (0.02, 0.33), (0.3, 1 / 0.3)  # arXiv:1708.04896, section 4.2


class DrawKind(NamedTuple):
    """Whether an augmentation needs these draws, and a function that draws them."""

    is_needed: Callable[[Augmentation], bool]
    draw: Callable[[Augmentation, int, np.random.Generator], NDArray[Any]]


def epoch_draws(augmentation: Augmentation, count: int, seed: int) -> dict[str, Tensor]:
    """Draws by kind, each (count, ...), for the augmentations switched on."""
    return {
        name: torch.from_numpy(
            kind.draw(augmentation, count, np.random.default_rng(stream_seed(seed, name)))
        )
        for name, kind in DRAW_KINDS.items()
        if kind.is_needed(augmentation)
    }


def _uniform(*columns: int) -> Callable[[Augmentation, int, np.random.Generator], FloatRows]:
    """Uniform draws in [0, 1), (count, *columns)."""
    return lambda _, count, generator: generator.random((count, *columns), dtype=np.float32)


def _seeds(_: Augmentation, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.integers(2**31, size=count)


def _rotation(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Rotations in degrees counter-clockwise."""
    return augmentation.rotation * _uniform_both_signs(generator, (count,))


def _shift(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Shifts down and to the right, as fractions of the side."""
    return augmentation.shift * _uniform_both_signs(generator, (count, 2))


def _jitter(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Factors of brightness, contrast and saturation, and rotations of the hue."""
    neutral, reach = (np.array(row, np.float32) for row in ([1, 1, 1, 0], augmentation.jitter))
    return neutral + reach * _uniform_both_signs(generator, (count, 4))


def _uniform_both_signs(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatRows:
    """Uniform draws in [-1, 1)."""
    return 2 * generator.random(shape, dtype=np.float32) - 1


def _resized_crop(
    augmentation: Augmentation, count: int, generator: np.random.Generator
) -> FloatRows:
    """Windows as top, left, height, width in fractions of the side; whole if none fits."""
    min_area = augmentation.resized_crop or 1.0
    boxes, fits = _boxes(generator, count, (min_area, 1.0), CROP_ASPECTS)
    return np.where(fits, boxes, np.array([0, 0, 1, 1], np.float32))


def _erasing(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Rectangles as top, left, height, width; empty if not drawn or if none fits."""
    coins = generator.random((count, 1)) < augmentation.erasing
    boxes, fits = _boxes(generator, count, ERASED_AREAS, ERASED_ASPECTS)
    return np.where(coins & fits, boxes, np.float32(0))


def _boxes(
    generator: np.random.Generator,
    count: int,
    areas: tuple[float, float],
    aspects: tuple[float, float],
) -> tuple[FloatRows, NDArray[np.bool_]]:
    """For each image, the first of its boxes that fits the square, and whether one does.

    Areas are uniform; the logarithm of the aspect (width to height) is uniform.
    """
    area = generator.uniform(*areas, (count, BOX_TRIES))
    low, high = map(math.log, aspects)
    aspect = np.exp(generator.uniform(low, high, (count, BOX_TRIES)))
    heights, widths = np.sqrt(area / aspect), np.sqrt(area * aspect)
    fits = (heights <= 1) & (widths <= 1)
    first_fit = np.arange(count), fits.argmax(1)
    sides = np.stack([heights[first_fit], widths[first_fit]], axis=1)
    corners = generator.random((count, 2)) * (1 - sides)
    return np.hstack([corners, sides]).astype(np.float32), fits[first_fit][:, None]


def _mixup(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Weight of the image itself in the mixture."""
    return generator.beta(augmentation.mixup, augmentation.mixup, count).astype(np.float32)


def _cutmix(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Weight of the image itself, and the centre of the other's box (down, right)."""
    own = generator.beta(augmentation.cutmix, augmentation.cutmix, (count, 1))
    return np.hstack([own, generator.random((count, 2))]).astype(np.float32)


DRAW_KINDS: dict[str, DrawKind] = {
    "policy": DrawKind(lambda options: options.policy != "none", _seeds),
    "crop": DrawKind(lambda options: options.crop > 0, _uniform(2)),
    "flip": DrawKind(lambda options: options.flip is not False, _uniform()),
    "resized_crop": DrawKind(lambda options: options.resized_crop is not None, _resized_crop),
    "rotation": DrawKind(lambda options: options.rotation > 0, _rotation),
    "shift": DrawKind(lambda options: options.shift > 0, _shift),
    "jitter": DrawKind(lambda options: any(options.jitter), _jitter),
    "cutout": DrawKind(lambda options: options.cutout > 0, _uniform(2)),  # centre of the square
    "erasing": DrawKind(lambda options: options.erasing > 0, _erasing),
    "noise": DrawKind(lambda options: options.erasing > 0, _seeds),  # seed of the noise
    "mixup": DrawKind(lambda options: options.mixup > 0, _mixup),
    "cutmix": DrawKind(lambda options: options.cutmix > 0, _cutmix),
    "mixing": DrawKind(lambda options: options.mixup > 0 and options.cutmix > 0, _uniform()),
}
"""Kinds of draws, in the order in which they are applied."""
