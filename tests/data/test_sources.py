"""What holds for every source: disjoint, seeded, named by content."""

import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources.by_name import SOURCES, load_dataset, load_test_split
from scalesearch.errors import DataError

CLASSES = {"train/ant": 20, "train/bee": 30}


def contents(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


@pytest.fixture(params=["digits", "bare classes", "train only", "three parts"])
def spec(request, make_folder):
    layouts = {
        "bare classes": {"ant": 20, "bee": 30},
        "train only": CLASSES,
        "three parts": {
            **CLASSES,
            "val/ant": 5,
            "val/bee": 5,
            "test/ant": 4,
            "test/bee": 4,
        },
    }
    if request.param == "digits":
        return DataSpec()
    return DataSpec(source=f"imagefolder:{make_folder(layouts[request.param])}")


def test_train_validation_and_test_share_no_image(spec, cache):
    data, test = load_dataset(spec, 0, cache), load_test_split(spec, cache)
    train, validation, held_out = map(contents, (data.train, data.validation, test))
    assert not train & validation
    assert not train & held_out
    assert not validation & held_out
    assert len(train) + len(validation) + len(held_out) == sum(
        map(len, (data.train, data.validation, test))
    )


def test_a_dataset_has_no_place_for_test_images():
    assert {field.name for field in fields(Dataset)} == {
        "train", "validation", "class_names", "fingerprint", "allows_flip", "mean", "std",
    }  # fmt: skip


def test_the_sizes_of_samples_leave_test_alone(spec, cache):
    few = DataSpec(source=spec.source, train_samples=12, validation_samples=6)
    assert len(load_dataset(few, 0, cache).train) == 12
    assert len(load_dataset(few, 0, cache).validation) == 6
    assert torch.equal(load_test_split(spec, cache).images, load_test_split(few, cache).images)


def test_a_larger_sample_contains_the_smaller_one(spec, cache):
    small, large = (
        load_dataset(DataSpec(source=spec.source, train_samples=n, validation_samples=m), 0, cache)
        for n, m in ((10, 3), (20, 6))
    )
    assert contents(small.train) < contents(large.train)
    assert contents(small.validation) < contents(large.validation)


def test_another_seed_draws_other_images(spec, cache):
    few = DataSpec(source=spec.source, train_samples=12, validation_samples=6)
    first, second = load_dataset(few, 0, cache), load_dataset(few, 1, cache)
    assert contents(first.train) != contents(second.train)
    assert first.fingerprint != second.fingerprint


def test_the_same_seed_draws_the_same_in_another_process():
    here = load_dataset(DataSpec(train_samples=100), 7).fingerprint
    program = (
        "from scalesearch.data.sources.by_name import load_dataset; from "
        "scalesearch.config.experiment import DataSpec; "
        "print(load_dataset(DataSpec(train_samples=100), 7).fingerprint)"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert there.stdout.strip() == here, there.stderr


def test_the_fingerprint_of_digits_does_not_change_between_versions():
    assert load_dataset(DataSpec(), 0).fingerprint == "eecca784c721f532"


def test_mean_and_deviation_are_those_of_the_training_images(spec, cache):
    data = load_dataset(spec, 0, cache)
    fractions = data.train.images.double() / 255
    assert data.mean == pytest.approx(fractions.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(fractions.std((0, 2, 3), correction=0).tolist())


def test_progress_ends_with_all_images(spec, cache):
    calls = []
    data = load_dataset(spec, 0, cache, progress=lambda done, total: calls.append((done, total)))
    total = sum(map(len, (data.train, data.validation, load_test_split(spec, cache))))
    assert calls[-1] == (total, total)


@pytest.mark.parametrize(
    "source",
    [
        "digit",
        "image_folder:x",
        "cifar",
        "flowers",
    ],
)
def test_an_unknown_source_is_refused_with_the_known_ones(source):
    assert {"digits", "imagefolder", "cifar10", "cifar100", "mnist"} < set(SOURCES)
    with refused(DataError):
        load_dataset(DataSpec(source=source), 0)


def test_more_training_samples_than_there_are_is_refused_with_the_numbers():
    with refused(DataError):
        load_dataset(DataSpec(train_samples=1295), 0)
    assert len(load_dataset(DataSpec(train_samples=1294), 0).train) == 1294


def test_more_validation_samples_than_can_be_spared_is_refused_with_the_numbers():
    with refused(DataError):
        load_dataset(DataSpec(validation_samples=1429), 0)
    assert (
        load_dataset(DataSpec(validation_samples=1428), 0).train.labels.bincount().tolist()
        == [1] * 10
    )


def test_more_validation_samples_than_the_folder_holds_is_refused(make_folder, cache):
    root = make_folder({**CLASSES, "validation/ant": 2, "validation/bee": 3})
    spec = DataSpec(source=f"imagefolder:{root}", validation_samples=6)
    with refused(DataError):
        load_dataset(spec, 0, cache)


def test_no_seed_trains_or_validates_on_what_any_other_is_tested_on():
    test = {image.numpy().tobytes() for image in load_test_split(DataSpec()).images}
    for seed in range(3):
        data = load_dataset(DataSpec(), seed)
        seen = {
            image.numpy().tobytes()
            for image in torch.cat([data.train.images, data.validation.images])
        }
        # Two digits may be drawn alike; a shared draw would share hundreds.
        assert len(test & seen) <= 2
