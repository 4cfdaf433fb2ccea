"""Cutout and erasing."""

import pytest
import torch

from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import training_inputs
from scalesearch.data.augmentation.pixels import hash_noise

LABELS = torch.zeros(24, dtype=torch.int64)


def covered(images, view, **rows):
    rows = {kind: torch.as_tensor(row) for kind, row in rows.items()}
    return training_inputs(images, LABELS[: len(images)], rows, view, view.pixels)[0]


@pytest.mark.parametrize(("fraction", "width"), [(0.25, 2), (0.5, 4), (0.4, 3)])
def test_cutout_makes_a_square_of_the_mean_around_its_centre(fraction, width, images, make_view):
    centres = torch.tensor([[0.5, 0.5]]).expand(24, 2)
    result = covered(images, make_view(cutout=fraction), cutout=centres)
    changed = (result != images).any(1)
    start = 4 - width // 2
    square = slice(start, start + width)
    assert (result[:, :, square, square] == 0).all()
    assert changed.sum((1, 2)).tolist() == [width**2] * 24


def test_a_square_at_the_corner_keeps_a_quarter_and_all_places_occur(make_view):
    images = torch.full((2000, 3, 8, 8), 9, dtype=torch.uint8)
    view = make_view(cutout=0.5)
    corner = covered(images[:1], view, cutout=[[0.0, 0.0]])
    assert (corner[0, 0] == 0).sum() == 4
    rows = epoch_draws(view.augmentation, 2000, 0)
    result, _ = training_inputs(images, torch.zeros(2000, dtype=torch.int64), rows, view, 8)
    assert (result[:, 0] == 0).sum((1, 2)).min() == 4
    assert (result[:, 0] == 0).any(0).all()


def test_erasing_fills_its_box_with_noise_and_nothing_else(images, make_view):
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.25]]).expand(24, 4)
    seeds = torch.arange(24)
    result = covered(images, make_view(erasing=1.0), erasing=boxes, noise=seeds)
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[2:6, 4:6] = False
    assert torch.equal(result[:, :, outside], images[:, :, outside].float())
    grain = result[:, :, 2:6, 4:6]
    assert torch.equal(grain, grain.round())
    assert len({image.numpy().tobytes() for image in grain}) == 24
    assert 100 < grain.mean() < 155


def test_an_empty_box_erases_nothing(images, make_view):
    result = covered(
        images, make_view(erasing=0.5), erasing=torch.zeros(24, 4), noise=torch.arange(24)
    )
    assert torch.equal(result, images.float())


def test_noise_is_even_over_all_levels_and_does_not_repeat():
    levels = hash_noise(torch.arange(64), torch.Size((3, 32, 32)))
    counts = torch.bincount(levels.flatten(), minlength=256)
    assert len(counts) == 256
    expected = levels.numel() / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 180 < chi_square < 340  # 255 degrees of freedom: 0.1% lie outside
    flat = levels.flatten(1).double()
    assert (torch.corrcoef(flat) - torch.eye(64)).abs().max() < 0.09  # 5 deviations
    along = torch.corrcoef(torch.stack([flat[:, :-1].flatten(), flat[:, 1:].flatten()]))
    assert along[0, 1].abs() < 0.01
