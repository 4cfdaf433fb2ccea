"""The embedded data set."""

import numpy as np
import torch
from PIL import Image
from refusals import refused
from sklearn.datasets import load_digits

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import DataError


def test_digits_are_the_originals_on_the_scale_of_bytes():
    originals = {tuple(np.rint(d.flatten() * 255 / 16).astype(int)) for d in load_digits().images}
    data = load_dataset(DataSpec(), 0)
    ours = torch.cat(
        [data.train.images, data.validation.images, load_test_split(DataSpec()).images]
    )
    assert len(ours) == 1797
    assert {tuple(image) for image in ours.flatten(1).tolist()} == originals


def test_digits_are_grey_unmirrored_and_have_ten_classes():
    data = load_dataset(DataSpec(), 0)
    assert (data.channels, data.pixels, data.num_classes) == (1, 8, 10)
    assert data.class_names == tuple("0123456789")
    assert not data.allows_flip


def test_digits_split_into_a_fifth_for_test_and_a_tenth_of_the_rest_for_validation():
    data, test = load_dataset(DataSpec(), 0), load_test_split(DataSpec())
    assert (len(test), len(data.validation), len(data.train)) == (359, 144, 1294)


def test_every_split_of_digits_is_stratified():
    data = load_dataset(DataSpec(), 0)
    for split in (data.train, data.validation, load_test_split(DataSpec())):
        share = split.labels.bincount(minlength=10) / len(split)
        assert torch.allclose(share, torch.full((10,), 0.1), atol=0.012)


def test_digits_are_stored_at_the_pixels_asked_for():
    small, large = load_dataset(DataSpec(), 3), load_dataset(DataSpec(pixels=24), 3)
    assert large.pixels == 24
    assert torch.equal(small.train.labels, large.train.labels)
    first = Image.fromarray(small.train.images[0, 0].numpy())
    expected = np.asarray(first.resize((24, 24), Image.Resampling.BILINEAR))
    assert np.array_equal(large.train.images[0, 0].numpy(), expected)


def test_digits_with_a_folder_is_refused():
    with refused(DataError):
        load_dataset(DataSpec(source="digits:here"), 0)
