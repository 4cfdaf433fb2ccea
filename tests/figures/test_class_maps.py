"""Heat over images: its numbers, and that a figure has a column for each network."""

import numpy as np
import pytest

from scalesearch.figures.class_maps import (
    GradCamGrid,
    GradCamPanel,
    gradcam_figure,
    normalized_heatmap,
    to_grayscale,
)


def test_heat_is_the_positive_part_scaled_to_1():
    found = normalized_heatmap(np.array([[-3.0, 0.0], [1.0, 4.0]]))
    assert found.tolist() == [[0, 0], [0.25, 1]]


def test_a_map_without_positive_values_has_no_heat():
    assert not normalized_heatmap(np.full((2, 2), -1.0)).any()


def test_grey_weighs_the_colours_as_the_eye_does():
    red, white = np.zeros((3, 1, 1), np.uint8), np.full((3, 1, 1), 255, np.uint8)
    red[0] = 255
    assert to_grayscale(red)[0, 0] == pytest.approx(0.299)
    assert to_grayscale(white)[0, 0] == pytest.approx(1)
    assert to_grayscale(white[:1])[0, 0] == pytest.approx(1)


def test_a_row_for_each_image_and_a_column_for_each_network_with_its_answer():
    random = np.random.default_rng(0)
    panels = tuple(
        GradCamPanel(name, random.normal(size=(2, side, side)), ("cat", "ship"), factor)
        for name, side, factor in (("base", 4, 1.0), ("resolution", 8, 3.97))
    )
    images = random.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    drawn = gradcam_figure(GradCamGrid(images, ("cat", "dog"), panels))
    assert len(drawn.axes) == 6
    assert [axes.get_title() for axes in drawn.axes[:3]] == [
        "image", "base\n1.00x", "resolution\n3.97x",
    ]  # fmt: skip
    assert "(CAM)" in drawn.get_suptitle()
    captions = [axes.texts[0].get_text() for axes in drawn.axes]
    assert captions[0] == "cat"
    assert captions[1].endswith("cat")
    assert captions[1][0] != captions[4][0]  # right, and wrong
