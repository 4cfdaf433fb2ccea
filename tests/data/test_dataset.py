"""Splits, their name and their statistics."""

import pytest
import torch
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.dataset import Split, channel_statistics, dataset_fingerprint
from scalesearch.data.sources.by_name import load_dataset

NAMES = ("ant", "bee")


def split(*, pixel: int = 7, label: int = 1, count: int = 3) -> Split:
    images = torch.arange(count * 12, dtype=torch.uint8).view(count, 3, 2, 2)
    images[0, 0, 0, 0] = pixel
    labels = torch.zeros(count, dtype=torch.int64)
    labels[-1] = label
    return Split(images, labels)


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        ((split(pixel=8), split()), NAMES),
        ((split(label=0), split()), NAMES),
        ((split(), split(pixel=8)), NAMES),
        ((split(), split(label=0)), NAMES),
        ((split(), split(count=2)), NAMES),
        ((split(), split()), ("ant", "cow")),
        ((split(), split()), ("bee", "ant")),
    ],
)
def test_a_change_anywhere_in_the_content_changes_the_fingerprint(splits, names):
    same = dataset_fingerprint((split(), split()), NAMES)
    assert dataset_fingerprint((split(), split()), NAMES) == same
    assert dataset_fingerprint(splits, names) != same


def test_the_layout_in_memory_does_not_change_the_fingerprint():
    strided = Split(split().images.contiguous(memory_format=torch.channels_last), split().labels)
    assert dataset_fingerprint((strided,), NAMES) == dataset_fingerprint((split(),), NAMES)


def test_statistics_are_exact_over_more_images_than_are_counted_at_a_time():
    images = torch.randint(0, 256, (600, 3, 4, 4), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    fractions = images.double() / 255
    assert mean == pytest.approx(fractions.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(fractions.std((0, 2, 3), correction=0).tolist(), abs=1e-9)


def test_a_constant_channel_is_not_divided_by_zero():
    assert channel_statistics(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)) == ((0.2,), (1.0,))


def test_a_split_that_is_there_already_is_not_copied():
    here = split()
    assert here.to("cpu") is here


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 4, 5, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_a_split_refuses_other_tensors(images, labels):
    with refused(ValueError):
        Split(images, labels)


def test_both_splits_move_to_a_device_and_the_rest_stays():
    data = load_dataset(DataSpec(), 0)
    moved = data.to("meta")
    assert {s.images.device.type for s in (moved.train, moved.validation)} == {"meta"}
    assert (moved.fingerprint, moved.mean, moved.pixels) == (data.fingerprint, data.mean, 8)
