"""Data sets of the Hugging Face hub, from a folder in the hub's format: no network is needed."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import DataError

datasets = pytest.importorskip("datasets")

NAMES = ["ant", "bee"]


@pytest.fixture
def write(tmp_path, picture) -> Callable[..., Path]:
    """write("train", 10, seed=0, mode="RGB", ...) adds a split of pictures to the data set."""

    def written(split: str, count: int, seed: int = 0, labels=None, mode="RGB", **columns) -> Path:
        classes = datasets.ClassLabel(names=NAMES)
        features = {"img": datasets.Image(), "label": classes, **columns}
        pictures = [picture(seed + row, (8, 8), mode) for row in range(count)]
        content = {"img": pictures, "label": labels or [row % 2 for row in range(count)]}
        content |= dict.fromkeys(columns, content["label"])
        folder = tmp_path / "hub"
        folder.mkdir(exist_ok=True)
        made = datasets.Dataset.from_dict(content, features=datasets.Features(features))
        made.to_parquet(folder / f"{split}-00000-of-00001.parquet")
        return folder

    return written


def spec(folder: Path, **options: object) -> DataSpec:
    return DataSpec(source=f"hf:{folder}", **options)


def pixels(picture, seeds) -> np.ndarray:
    return np.stack([np.asarray(picture(seed, (8, 8), "RGB")).transpose(2, 0, 1) for seed in seeds])


def test_splits_are_parts_and_rows_keep_their_order(write, cache, picture):
    write("train", 12)
    write("validation", 4, 100)
    folder = write("test", 6, 200)
    data, test = load_dataset(spec(folder), 0, cache), load_test_split(spec(folder), cache)
    assert np.array_equal(data.train.images, pixels(picture, range(12)))
    assert np.array_equal(data.validation.images, pixels(picture, range(100, 104)))
    assert np.array_equal(test.images, pixels(picture, range(200, 206)))
    assert data.train.labels.tolist() == [0, 1] * 6
    assert data.class_names == tuple(NAMES)


def test_what_a_data_set_does_not_split_is_drawn_as_from_a_folder(write, cache):
    data = load_dataset(spec(write("train", 40)), 0, cache)
    test = load_test_split(spec(write("train", 40)), cache)
    assert (len(data.train), len(data.validation), len(test)) == (29, 3, 8)


def test_grey_pictures_are_one_channel_and_pixels_are_followed(write, cache):
    data = load_dataset(spec(write("train", 20, mode="L"), pixels=4), 0, cache)
    assert data.train.images.shape[1:] == (1, 4, 4)


def test_pictures_are_decoded_once_and_may_stay_on_disk(write, cache):
    folder = write("train", 40)
    calls = []
    data = load_dataset(spec(folder), 0, cache, progress=lambda *done: calls.append(done))
    assert calls == [(40, 40)]
    on_disk = load_dataset(
        spec(folder, resident=False), 0, cache, progress=lambda *done: calls.append(1)
    )
    assert len(calls) == 1
    assert not on_disk.train.is_resident
    assert on_disk.fingerprint == data.fingerprint


def test_another_version_of_the_data_set_is_decoded_anew(write, cache, picture):
    load_dataset(spec(write("train", 20)), 0, cache)
    data = load_dataset(spec(write("train", 20, 500)), 0, cache)
    assert set(data.train.images[:, 0, 0, 0].tolist()) <= set(
        pixels(picture, range(500, 520))[:, 0, 0, 0].tolist()
    )


def test_of_several_kinds_of_classes_the_fine_ones_are_meant(write, cache):
    folder = write("train", 20, coarse=datasets.ClassLabel(names=["animal", "plant"]))
    assert load_dataset(spec(folder), 0, cache).class_names == tuple(NAMES)


def test_a_test_split_that_keeps_its_labels_secret_is_passed_over(write, cache):
    write("train", 40)
    folder = write("test", 10, 300, labels=[-1] * 10)
    assert len(load_test_split(spec(folder), cache)) == 8


def test_a_picture_that_cannot_be_read_is_named_by_its_row(tmp_path, cache):
    table = {"img": [{"bytes": b"broken", "path": None}] * 4, "label": [0, 1] * 2}
    kinds = {"img": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    (tmp_path / "hub").mkdir()
    made = datasets.Dataset.from_dict(table, features=datasets.Features(kinds))
    made.to_parquet(tmp_path / "hub/train-00000-of-00001.parquet")
    with refused(DataError):
        load_dataset(spec(tmp_path / "hub"), 0, cache)


def test_training_images_without_labels_are_refused(write, cache):
    folder = write("train", 10, labels=[0, 1, -1, None, 0, 1, 0, 1, 0, 1])
    with refused(DataError):
        load_dataset(spec(folder), 0, cache)


def test_a_data_set_without_classes_is_refused_with_its_columns(tmp_path, cache):
    (tmp_path / "hub").mkdir()
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    made.to_parquet(tmp_path / "hub/train-00000-of-00001.parquet")
    with refused(DataError):
        load_dataset(spec(tmp_path / "hub"), 0, cache)


def test_a_data_set_without_a_split_to_train_on_is_refused(write, cache):
    with refused(DataError):
        load_dataset(spec(write("test", 10)), 0, cache)


def test_a_name_that_leads_nowhere_is_refused(tmp_path, cache):
    with refused(DataError):
        load_dataset(spec(tmp_path / "absent"), 0, cache)
    with refused(DataError):
        load_dataset(DataSpec(source="hf"), 0, cache)


def test_the_name_and_the_configuration_are_what_the_library_is_asked_for(monkeypatch):
    asked = []

    def unreachable(*arguments, **options):
        asked.append((*arguments, options))
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    for source in ("hf:owner/name", "hf:owner/name:small"):
        with refused(DataError):
            load_dataset(DataSpec(source=source), 0)
    options = {"cache_dir": None}
    assert asked == [("owner/name", None, options), ("owner/name", "small", options)]


def test_without_the_library_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused(DataError):
        load_dataset(DataSpec(source="hf:cifar10"), 0)


def test_rows_that_lie_in_files_are_read_from_there(tmp_path, cache, picture):
    for row in range(20):
        folder = tmp_path / "hub" / "train" / NAMES[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(row).save(folder / f"{row:02d}.png")
    data = load_dataset(spec(tmp_path / "hub"), 0, cache)
    assert data.class_names == tuple(NAMES)
    assert torch.equal(data.train.labels.unique(), torch.tensor([0, 1]))
