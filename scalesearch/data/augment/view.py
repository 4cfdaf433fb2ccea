"""How the images of a data set are shown to a network, as frozen data."""

from dataclasses import dataclass

from scalesearch.data.dataset import Dataset
from scalesearch.errors import DataError
from scalesearch.recipe import Augmentation, Recipe

DEFAULT_ZOOM = 1.14
"""The customary 256 pixels for an input of 224."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images, as everybody rounds them (github.com/pytorch/vision)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTransform:
    """All that turns stored images into a network's input, but for chance and the resolution.

    ``pixels``: side of the stored images. ``mean``, ``std``: per channel, as fractions of full
    brightness. ``mirrors``: whether half of the images are mirrored in training. ``zoom``: how
    many times the centre is enlarged; decided by the network's own resolution, so that the small
    sides of progressive training show the same picture.
    """

    pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    num_classes: int
    augmentation: Augmentation
    zoom: float = 1.0

    def window(self, resolution: int) -> int:
        """Side of the part of the stored images that is shown at a resolution.

        The same as enlarging the image to ``zoom`` times the resolution and cutting out the centre.
        """
        return round(self.pixels * resolution / round(self.zoom * resolution))


def input_transform(dataset: Dataset, recipe: Recipe, resolution: int) -> InputTransform:
    """The view that a recipe gives a network of this resolution on a data set.

    Raises DataError where ImageNet's statistics are asked for images of neither 1 nor 3 channels.
    """
    augmentation = recipe.augmentation
    mean, std = dataset.mean, dataset.std
    if augmentation.normalisation == "imagenet":
        mean, std = _imagenet_statistics(dataset.channels)
    return InputTransform(
        pixels=dataset.pixels,
        mean=mean,
        std=std,
        flips=dataset.allows_flip if augmentation.flip is None else augmentation.flip,
        num_classes=dataset.num_classes,
        augmentation=augmentation,
        zoom=recipe.evaluation_zoom or default_zoom(dataset.pixels, resolution),
    )


def default_zoom(pixels: int, resolution: int) -> float:
    """How many times images of a side are enlarged for an input of another, if nothing is said."""
    return DEFAULT_ZOOM if pixels > resolution else 1.0


def _imagenet_statistics(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of ImageNet; of one channel the mean of the three."""
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    if channels == 1:
        return (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)
    raise DataError(
        f"augmentation.normalisation: ImageNet's statistics are of 3 channels (or 1, grey), got "
        f"images of {channels}; use normalisation: data"
    )
