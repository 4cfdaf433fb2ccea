"""Where pixels come from: crops, mirrors, windows, rotations and shifts."""

import pytest
import torch
import torch.nn.functional as F

from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import evaluation_inputs, training_inputs

FRACTIONS = (0.0, 0.999)


def placed(images, view, resolution=None, **draws):
    rows = {kind: torch.as_tensor(row).expand(len(images), -1) for kind, row in draws.items()}
    rows = {kind: row[:, 0] if kind in {"flip", "rotation"} else row for kind, row in rows.items()}
    result, _ = training_inputs(
        images, torch.zeros(len(images), dtype=torch.int64), rows, view, resolution or view.pixels
    )
    return result


def augmented(images, view, seed=0):
    rows = epoch_draws(view.augmentation, len(images), seed)
    result, _ = training_inputs(images, torch.arange(len(images)), rows, view, view.pixels)
    return result


def ramp(count: int, side: int) -> torch.Tensor:
    """Each pixel's level says where it came from."""
    levels = torch.arange(side * side, dtype=torch.uint8)
    return levels.view(1, 1, side, side).repeat(count, 3, 1, 1)


def windows(image_CHW: torch.Tensor, most: int) -> dict[tuple[int, int], torch.Tensor]:
    side = image_CHW.shape[-1]
    padded = F.pad(image_CHW.float()[None], (most,) * 4, mode="reflect")[0]
    return {
        (dy, dx): padded[:, dy : dy + side, dx : dx + side]
        for dy in range(2 * most + 1)
        for dx in range(2 * most + 1)
    }


def close(result: torch.Tensor, expected: torch.Tensor, atol: float = 1e-3) -> bool:
    return torch.allclose(result, expected.float(), atol=atol, rtol=0)


def test_without_options_images_stay_as_they_are(images, make_view):
    assert close(augmented(images, make_view()), images)


def test_crops_are_windows_of_the_reflected_image_and_all_occur_for_each_image_alone(make_view):
    images = ramp(600, 8)
    expected = windows(images[0], 2)
    seen = []
    for image in augmented(images, make_view(crop=0.25)):
        seen += [shift for shift, window in expected.items() if close(image, window)]
    assert len(seen) == 600  # each is exactly one of the windows
    assert set(seen) == set(expected)


def test_flips_are_exact_mirrors_of_half_of_the_images(make_view):
    images = ramp(400, 6)
    result = augmented(images, make_view(6, flip=True, mirrors=True))
    mirrored = [close(image, images[0].flip(-1)) for image in result]
    straight = [close(image, images[0]) for image in result]
    assert sum(mirrored) + sum(straight) == 400
    assert 160 < sum(mirrored) < 240


def test_what_is_drawn_for_flips_is_not_used_where_the_data_are_not_mirrored(images, make_view):
    assert close(augmented(images, make_view(flip=None, mirrors=False)), images)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_crop_of_half_a_tiny_image_is_still_a_reflection(side, make_view):
    view = make_view(side, crop=0.5, flip=True, mirrors=True)
    levels = augmented(ramp(20, side), view)
    assert levels.shape == (20, 3, side, side)
    assert set(levels.unique().tolist()) <= set(range(side * side))


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_quarter_turns_are_exact(degrees, images, make_view):
    result = placed(images, make_view(rotation=180), rotation=[float(degrees)])
    assert close(result, torch.rot90(images, degrees // 90, (2, 3)))


def test_a_shift_of_whole_pixels_is_exact_and_fills_with_the_nearest(images, make_view):
    result = placed(images, make_view(shift=0.5), shift=[2 / 8, -1 / 8])
    assert close(result[:, :, 2:, :-1], images[:, :, :-2, 1:])
    assert close(result[:, :, 0, :-1], images[:, :, 0, 1:])
    assert close(result[:, :, 2:, -1], images[:, :, :-2, -1])


def test_a_rotation_fills_with_the_nearest_and_invents_no_levels(make_view):
    images = torch.full((4, 3, 8, 8), 77, dtype=torch.uint8)
    assert close(placed(images, make_view(rotation=45), rotation=[45.0]), images)


def test_the_whole_window_is_the_image_and_a_quarter_is_enlarged(images, make_view):
    view = make_view(resized_crop=0.08)
    assert close(placed(images, view, resized_crop=[0.0, 0.0, 1.0, 1.0]), images)
    quarter = placed(images, view, resized_crop=[0.0, 0.5, 0.5, 0.5])
    expected = F.interpolate(images[:, :, :4, 4:].float(), size=(8, 8), mode="bilinear")
    # Within the image a window sees the pixels beyond it; at the border there are none.
    assert close(quarter[:, :, :-1, 1:], expected[:, :, :-1, 1:])


def test_windows_get_smaller_with_antialiasing(make_view):
    stripes = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 200
    view = make_view(32, resized_crop=0.08)
    result = placed(stripes, view, resolution=8, resized_crop=[0.0, 0.0, 1.0, 1.0])
    assert (result - 100).abs().max() < 15


@pytest.mark.parametrize("coin", [0.1, 0.9])
def test_one_sampling_equals_moving_by_whole_pixels_and_then_sampling(coin, images, make_view):
    options = {"rotation": 30, "shift": 0.25}
    moved = {"crop": FRACTIONS, "flip": [coin]}
    turned = {"rotation": [20.0], "shift": [0.1, -0.2]}
    view = make_view(crop=0.25, mirrors=True, **options)
    gathered = placed(images, view, **moved).round().to(torch.uint8)
    twice = placed(gathered, make_view(**options), **turned)
    assert close(placed(images, view, **moved, **turned), twice, 0.02)


def test_windows_of_the_draws_are_moved_and_mirrored_too(images, make_view):
    view = make_view(crop=0.25, resized_crop=0.08, mirrors=True)
    moved, whole = {"crop": FRACTIONS, "flip": [0.1]}, [0.0, 0.0, 1.0, 1.0]
    assert close(placed(images, view, **moved, resized_crop=whole), placed(images, view, **moved))


@pytest.mark.parametrize("side", [5, 8, 13])
@pytest.mark.parametrize("kind", ["gathered", "sampled"])
def test_images_come_antialiased_at_the_resolution(side, kind, images, make_view):
    draws = {} if kind == "gathered" else {"rotation": [0.0]}
    result = placed(images, make_view(rotation=10), resolution=side, **draws)
    expected = F.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    assert result.shape[2:] == (side, side)
    assert close(result, expected, 0.01)


@pytest.mark.parametrize("draws", [{}, {"rotation": [0.0]}])
def test_training_and_evaluation_show_the_same_centre(draws, images, make_view):
    view = make_view(zoom=8 / 6)
    centre = images[:, :, 1:7, 1:7].float()
    expected = F.interpolate(centre, size=(3, 3), mode="bilinear", antialias=True)
    assert close(evaluation_inputs(images, view, 3), expected)
    assert close(placed(images, view, resolution=3, **draws), expected)


def test_a_centre_that_is_cropped_sees_real_pixels_before_reflections(make_view):
    images = ramp(1, 8)
    view = make_view(zoom=8 / 6, crop=1 / 6)
    first, last = (placed(images, view, resolution=6, crop=[f, f]) for f in FRACTIONS)
    assert close(first, images[:, :, :6, :6])
    assert close(last, images[:, :, 2:, 2:])
