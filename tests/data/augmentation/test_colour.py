"""Pixels' values: jitter and normalisation."""

import colorsys

import pytest
import torch

from scalesearch.config.recipe import Augmentation
from scalesearch.data.augmentation.geometry import InputTransform
from scalesearch.data.augmentation.pipeline import evaluation_inputs, training_inputs

LABELS = torch.zeros(24, dtype=torch.int64)
NEUTRAL = [1.0, 1.0, 1.0, 0.0]


def jittered(images, view, *row):
    rows = {"jitter": torch.tensor(row).expand(len(images), 4)}
    return training_inputs(images, LABELS[: len(images)], rows, view, view.pixels)[0]


def test_factors_of_one_and_no_turn_change_nothing(images, make_view):
    result = jittered(images, make_view(jitter=(1, 1, 1, 0.5)), *NEUTRAL)
    assert torch.allclose(result, images.float(), atol=1e-3)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.4])
def test_brightness_alone_is_a_factor(factor, images, make_view):
    result = jittered(images, make_view(jitter=(1, 0, 0, 0)), factor, 1.0, 1.0, 0.0)
    assert torch.allclose(result, (images * factor).clamp(0, 255), atol=1e-3)


def test_no_contrast_is_the_mean_grey_and_no_saturation_each_pixels_own(images, make_view):
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey = (images * luma).sum(1, keepdim=True)
    flat = jittered(images, make_view(jitter=(0, 1, 0, 0)), 1.0, 0.0, 1.0, 0.0)
    assert torch.allclose(flat, grey.mean((2, 3), keepdim=True).expand_as(flat), atol=1e-3)
    pale = jittered(images, make_view(jitter=(0, 0, 1, 0)), 1.0, 1.0, 0.0, 0.0)
    assert torch.allclose(pale, grey.expand_as(pale), atol=1e-3)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.25, 1 / 3])
def test_hues_are_turned_as_the_standard_library_turns_them(turn, images, make_view):
    result = jittered(images, make_view(jitter=(0, 0, 0, 0.5)), 1.0, 1.0, 1.0, turn)
    before, after = (pixels[0].flatten(1).T.tolist() for pixels in (images, result))
    for pixel, turned in zip(before, after, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in pixel))
        expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
        assert turned == pytest.approx([255 * level for level in expected], abs=0.01)


def test_images_of_one_channel_have_neither_saturation_nor_hue():
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    options = Augmentation(crop=0, flip=False, jitter=(1, 1, 1, 0.5))
    view = InputTransform(
        pixels=8, mean=(0.0,), std=(1 / 255,), flips=False, num_classes=2, augmentation=options
    )
    assert torch.allclose(jittered(images, view, 1.0, 1.0, 0.0, 0.3), images.float(), atol=1e-3)
    halved = jittered(images, view, 1.0, 0.5, 1.0, 0.0)
    mean = images.float().mean((2, 3), keepdim=True)
    assert torch.allclose(halved, (images + mean) / 2, atol=1e-3)


def test_images_are_normalised_by_mean_and_deviation(images):
    mean, std = (0.5, 0.25, 0.75), (0.2, 0.3, 0.1)
    view = InputTransform(
        pixels=8, mean=mean, std=std, flips=False, num_classes=10, augmentation=Augmentation()
    )
    center, spread = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    expected = (images / 255 - center) / spread
    assert torch.allclose(evaluation_inputs(images, view, 8), expected, atol=1e-5)
    assert torch.allclose(training_inputs(images, LABELS, {}, view, 8)[0], expected, atol=1e-5)
