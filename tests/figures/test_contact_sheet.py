"""Sheets of images."""

from itertools import pairwise

import numpy as np
import pytest
from contact_sheet import contact_sheet
from refusals import refused


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_is_drawn_pixel_for_pixel_under_its_title(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 6, 6), dtype=np.uint8)
    sheet = contact_sheet(images, list("abcde"), columns=3)
    filled = [axes for axes in sheet.axes if axes.images]
    assert [axes.get_title() for axes in filled] == list("abcde")
    assert len(sheet.axes) == 6
    for axes, image in zip(filled, images, strict=True):
        shown = np.asarray(axes.images[0].get_array())
        assert np.array_equal(shown, image[0] if channels == 1 else image.transpose(1, 2, 0))


def test_titles_and_images_have_to_pair():
    with refused(ValueError):
        contact_sheet(np.zeros((2, 3, 4, 4), np.uint8), ["a"])


def test_long_titles_do_not_run_into_each_other():
    titles = ["trivialaugment wide"] * 16
    sheet = contact_sheet(np.zeros((16, 3, 8, 8), np.uint8), titles, columns=16)
    sheet.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in sheet.axes]
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
