"""How a data set is shown."""

import pytest
import torch
from refusals import refused

from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.dataset import Dataset, Split
from scalesearch.errors import DataError


def dataset(channels: int = 3, pixels: int = 64, mirrors: bool = True) -> Dataset:
    split = Split(torch.zeros(2, channels, pixels, pixels, dtype=torch.uint8), torch.arange(2))
    mean = (0.25,) * channels
    return Dataset(split, split, ("a", "b", "c"), "f", mirrors, mean, (0.5,) * channels)


def test_statistics_are_the_datas_own_or_imagenets():
    own = input_transform(dataset(), Recipe(), 32)
    assert (own.mean, own.std) == ((0.25,) * 3, (0.5,) * 3)
    recipe = Recipe(augmentation=Augmentation(normalisation="imagenet"))
    theirs = input_transform(dataset(), recipe, 32)
    assert (theirs.mean, theirs.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    grey = input_transform(dataset(channels=1), recipe, 32)
    assert grey.mean == pytest.approx((0.449,))
    assert grey.std == pytest.approx((0.226,))


def test_imagenets_statistics_are_refused_for_other_channels():
    recipe = Recipe(augmentation=Augmentation(normalisation="imagenet"))
    with refused(DataError):
        input_transform(dataset(channels=4), recipe, 32)


@pytest.mark.parametrize(
    ("flip", "mirrors", "expected"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_recipe_decides_on_mirroring_and_otherwise_the_data(flip, mirrors, expected):
    recipe = Recipe(augmentation=Augmentation(flip=flip))
    assert input_transform(dataset(mirrors=mirrors), recipe, 32).flips is expected


def test_the_classes_and_the_side_are_the_datas():
    seen = input_transform(dataset(), Recipe(), 32)
    assert (seen.num_classes, seen.pixels) == (3, 64)


@pytest.mark.parametrize(("resolution", "zoom"), [(32, 1.14), (63, 1.14), (64, 1.0), (80, 1.0)])
def test_only_images_larger_than_the_network_are_enlarged_if_nothing_is_said(resolution, zoom):
    assert input_transform(dataset(), Recipe(), resolution).zoom == zoom
    assert input_transform(dataset(), Recipe(evaluation_zoom=1.25), resolution).zoom == 1.25


def test_the_window_is_what_a_centre_crop_of_the_enlarged_image_shows():
    seen = input_transform(dataset(pixels=256), Recipe(evaluation_zoom=256 / 224), 224)
    assert seen.window(224) == 224
    assert seen.window(112) == 224  # a smaller side shows the same picture
    assert input_transform(dataset(pixels=224), Recipe(), 224).window(128) == 224
