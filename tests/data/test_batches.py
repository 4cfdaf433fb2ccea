"""Batches, and the transformations they are made with."""

import pytest
import torch
import torch.nn.functional as F

from scalesearch.data import Split, augmented, evaluation_batches, training_batches

MEAN, STD = (0.5, 0.25, 0.75), (0.2, 0.3, 0.1)
OPTIONS = {"batch_size": 16, "resolution": 12, "mean": MEAN, "std": STD, "device": "cpu"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def split() -> Split:
    images = torch.randint(0, 256, (50, 3, 12, 12), dtype=torch.uint8, generator=generator(9))
    return Split(images, torch.arange(50))


def epoch(split, seed=0, **changes):
    options = {**OPTIONS, "crop": 0.25, "flip": True, "generator": generator(seed), **changes}
    return list(training_batches(split, **options))


def evaluation(split, **changes):
    return list(evaluation_batches(split, **{**OPTIONS, **changes}))


def ramp(count: int, side: int) -> torch.Tensor:
    """Each pixel's value says where it came from."""
    return torch.arange(side * side).view(1, 1, side, side).repeat(count, 2, 1, 1)


def windows(image_CHW: torch.Tensor, most: int) -> dict[tuple[int, int], torch.Tensor]:
    side = image_CHW.shape[-1]
    padded = F.pad(image_CHW.double()[None], (most,) * 4, mode="reflect")[0].to(image_CHW.dtype)
    return {
        (dy, dx): padded[:, dy : dy + side, dx : dx + side]
        for dy in range(2 * most + 1)
        for dx in range(2 * most + 1)
    }


def test_crops_are_windows_of_the_reflected_image_and_all_occur_for_each_image_alone():
    images = ramp(600, 8)
    expected = windows(images[0], 2)
    seen = []
    for image in augmented(images, 0.25, False, generator()):
        seen += [shift for shift, window in expected.items() if torch.equal(window, image)]
    assert len(seen) == 600  # each is exactly one of the windows
    assert set(seen) == set(expected)


def test_flips_are_exact_mirrors_of_half_of_the_images():
    images = ramp(400, 6)
    result = augmented(images, 0.0, True, generator())
    mirrored = [torch.equal(image, images[0].flip(-1)) for image in result]
    straight = [torch.equal(image, images[0]) for image in result]
    assert sum(mirrored) + sum(straight) == 400
    assert 160 < sum(mirrored) < 240


def test_without_crop_and_flip_images_stay_as_they_are(split):
    assert torch.equal(augmented(split.images, 0.0, False, generator()), split.images)


def test_all_channels_of_an_image_move_together():
    result = augmented(ramp(50, 8), 0.25, True, generator())
    assert torch.equal(result[:, 0], result[:, 1])


def test_flipping_does_not_change_the_crops():
    images = ramp(100, 8)
    cropped, both = (augmented(images, 0.25, flip, generator()) for flip in (False, True))
    same = (cropped == both).flatten(1).all(1)
    mirrored = (cropped == both.flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert same.any()
    assert mirrored.any()


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_crop_of_half_a_tiny_image_is_still_a_reflection(side):
    assert augmented(ramp(20, side), 0.5, True, generator()).shape == (20, 2, side, side)


def test_equal_generators_give_equal_epochs_and_go_on_differently(split):
    shared = generator(3)
    first, second = epoch(split, generator=shared), epoch(split, generator=shared)
    again = epoch(split, seed=3)
    for (images, labels), (same_images, same_labels) in zip(first, again, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)
    assert not torch.equal(first[0][1], second[0][1])


def test_an_epoch_has_each_image_at_most_once_and_drops_what_fills_no_batch(split):
    labels = torch.cat([labels for _, labels in epoch(split)])
    assert len(labels) == 48
    assert len(labels.unique()) == 48
    assert labels.tolist() != sorted(labels.tolist())


def test_a_batch_that_is_not_full_stays_where_it_is_the_only_one(split):
    (batch,) = epoch(split, batch_size=64)
    assert sorted(batch[1].tolist()) == list(range(50))


def test_labels_stay_with_their_images(split):
    for images, labels in epoch(split, crop=0.0, flip=False):
        ((expected, _),) = evaluation(Split(split.images[labels], labels))
        assert torch.equal(images, expected)


def test_evaluation_keeps_the_order_and_every_image(split):
    batches = evaluation(split)
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(50))


def test_images_are_normalised_by_mean_and_deviation(split):
    images = torch.cat([images for images, _ in evaluation(split)])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    assert torch.allclose(images, (split.images / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize("resolution", [7, 12, 17])
def test_images_come_antialiased_at_the_resolution_in_channels_last(split, resolution):
    ((images, _),) = evaluation(split, batch_size=50, resolution=resolution)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    size = (resolution, resolution)
    resized = F.interpolate(split.images.float(), size=size, mode="bilinear", antialias=True)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(images, (resized / 255 - mean) / std, atol=1e-4)
    assert {tuple(b.shape[2:]) for b, _ in epoch(split, resolution=resolution)} == {size}


def test_the_images_of_a_split_are_left_untouched(split):
    before = split.images.clone()
    epoch(split)
    evaluation(split)
    assert torch.equal(split.images, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_batches(split):
    here, there = epoch(split, resolution=17), epoch(split, resolution=17, device="cuda")
    for (images, labels), (cuda_images, cuda_labels) in zip(here, there, strict=True):
        assert torch.equal(labels, cuda_labels.cpu())
        assert torch.allclose(images, cuda_images.cpu(), atol=1e-4)
