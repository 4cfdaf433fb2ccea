"""All chance of an epoch's augmentation, drawn before it on the CPU: one row for each image.

Every kind has a stream of its own, so that recipes which differ in one option see the same draws
in all others, and every row belongs to an image, so that neither the order of the images nor the
batch size changes what an image goes through.
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

BOX_TRIES = 10  # boxes drawn for an image, of which the first that fits is taken, as in torchvision
CROP_ASPECTS = (3 / 4, 4 / 3)
ERASED_AREAS, ERASED_ASPECTS = (0.02, 0.33), (0.3, 1 / 0.3)  # arXiv:1708.04896, section 4.2


class DrawKind(NamedTuple):
    """Whether an augmentation needs these draws, and the draws of so many images."""

    is_needed: Callable[[Augmentation], bool]
    draw: Callable[[Augmentation, int, np.random.Generator], NDArray[Any]]


def epoch_draws(augmentation: Augmentation, count: int, seed: int) -> dict[str, Tensor]:
    """Draws by kind, each (count, ...), of what is switched on; see ``KINDS``."""
    return {
        name: torch.from_numpy(
            kind.draw(augmentation, count, np.random.default_rng(stream_seed(seed, name)))
        )
        for name, kind in DRAW_KINDS.items()
        if kind.is_needed(augmentation)
    }


def _uniform(*columns: int) -> Callable[[Augmentation, int, np.random.Generator], FloatRows]:
    """Evenly from 0 to below 1, (count, *columns)."""
    return lambda _, count, generator: generator.random((count, *columns), dtype=np.float32)


def _seeds(_: Augmentation, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.integers(2**31, size=count)


def _rotation(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Degrees counter-clockwise."""
    return augmentation.rotation * _uniform_both_signs(generator, (count,))


def _shift(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Down and right, as fractions of the side."""
    return augmentation.shift * _uniform_both_signs(generator, (count, 2))


def _jitter(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Factors of brightness, contrast and saturation, and turns of the hue."""
    neutral, reach = (np.array(row, np.float32) for row in ([1, 1, 1, 0], augmentation.jitter))
    return neutral + reach * _uniform_both_signs(generator, (count, 4))


def _uniform_both_signs(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatRows:
    """Evenly from -1 to 1."""
    return 2 * generator.random(shape, dtype=np.float32) - 1


def _resized_crop(
    augmentation: Augmentation, count: int, generator: np.random.Generator
) -> FloatRows:
    """Windows as top, left, height, width, fractions of the side; the whole where none fits."""
    min_area = augmentation.resized_crop or 1.0
    boxes, fits = _boxes(generator, count, (min_area, 1.0), CROP_ASPECTS)
    return np.where(fits, boxes, np.array([0, 0, 1, 1], np.float32))


def _erasing(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """Rectangles as top, left, height, width; empty where the coin says so or none fits."""
    coins = generator.random((count, 1)) < augmentation.erasing
    boxes, fits = _boxes(generator, count, ERASED_AREAS, ERASED_ASPECTS)
    return np.where(coins & fits, boxes, np.float32(0))


def _boxes(
    generator: np.random.Generator,
    count: int,
    areas: tuple[float, float],
    aspects: tuple[float, float],
) -> tuple[FloatRows, NDArray[np.bool_]]:
    """For each image the first of its tries that fits into the square, and whether one did.

    Areas are drawn evenly, aspects (width to height) evenly in their logarithm.
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
    """An image's own part of the mixture."""
    return generator.beta(augmentation.mixup, augmentation.mixup, count).astype(np.float32)


def _cutmix(augmentation: Augmentation, count: int, generator: np.random.Generator) -> FloatRows:
    """An image's own part, and the centre of the other's box, down and right."""
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
    "cutout": DrawKind(lambda options: options.cutout > 0, _uniform(2)),  # the square's centre
    "erasing": DrawKind(lambda options: options.erasing > 0, _erasing),
    "noise": DrawKind(lambda options: options.erasing > 0, _seeds),  # of what is erased
    "mixup": DrawKind(lambda options: options.mixup > 0, _mixup),
    "cutmix": DrawKind(lambda options: options.cutmix > 0, _cutmix),
    "mixing": DrawKind(lambda options: options.mixup > 0 and options.cutmix > 0, _uniform()),
}
"""What is drawn, in the order in which images go through it."""
