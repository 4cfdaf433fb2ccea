"""MNIST's files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.data.sources.idx import MNIST
from scalesearch.errors import DataError

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (wanted.name for wanted in MNIST.files)


def pixels(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def idx(magic: int, *shape: int, content: bytes) -> bytes:
    return gzip.compress(struct.pack(f">I{len(shape)}I", magic, *shape) + content)


def images_file(images: np.ndarray) -> bytes:
    return idx(0x00000803, *images.shape, content=images.tobytes())


def labels_file(labels: np.ndarray) -> bytes:
    return idx(0x00000801, len(labels), content=labels.astype(np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / TRAIN_IMAGES).write_bytes(images_file(pixels(1, 60)))
    (tmp_path / TRAIN_LABELS).write_bytes(labels_file(np.arange(60) % 10))
    (tmp_path / TEST_IMAGES).write_bytes(images_file(pixels(2, 20)))
    (tmp_path / TEST_LABELS).write_bytes(labels_file(np.arange(20) % 10))
    return tmp_path


@pytest.mark.parametrize(("source", "mirrors"), [("mnist", False), ("fashion_mnist", True)])
def test_images_are_grey_and_test_is_the_files_own(folder, cache, source, mirrors):
    spec = DataSpec(source=f"{source}:{folder}", validation_samples=10)
    data, test = load_dataset(spec, 0, cache), load_test_split(spec, cache)
    assert (data.channels, data.pixels, data.num_classes) == (1, 28, 10)
    assert data.allows_flip is mirrors
    assert (len(data.train), len(data.validation)) == (50, 10)
    assert np.array_equal(test.images[:, 0], pixels(2, 20))
    assert test.labels.tolist() == [*range(10)] * 2
    place = {image.tobytes(): row % 10 for row, image in enumerate(pixels(1, 60))}
    for split in (data.train, data.validation):
        assert [place[i.numpy().tobytes()] for i in split.images] == split.labels.tolist()


def test_images_are_stored_at_the_pixels_asked_for(folder, cache):
    assert load_dataset(DataSpec(source=f"mnist:{folder}", pixels=14), 0, cache).pixels == 14


WHOLE = images_file(pixels(1, 60))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (TRAIN_IMAGES, WHOLE[: len(WHOLE) // 2]),
        (TRAIN_IMAGES, WHOLE[:9000] + bytes(9) + WHOLE[9009:]),
        (TRAIN_IMAGES, b"<html>"),
        (TRAIN_IMAGES, b""),
        (TRAIN_IMAGES, labels_file(np.arange(60))),
        (TRAIN_IMAGES, idx(0x00000803, 60, 28, 28, content=bytes(60 * 28 * 28 - 1))),
        (TRAIN_LABELS, idx(0x00000801, 60, content=bytes(61))),
        (TRAIN_LABELS, gzip.compress(b"\0\0\x08\x01\0")),
        (TRAIN_LABELS, labels_file(np.zeros(59))),
        (TEST_LABELS, labels_file(np.full(20, 10))),
        (TEST_IMAGES, images_file(pixels(2, 20)[:, :14])),
        (TEST_IMAGES, images_file(pixels(2, 20)[:, :14, :14])),
    ],
    ids=[
        *("truncated", "altered", "a web page", "empty", "labels", "short", "long"),
        *("only a header", "a label too few", "a class too many", "oblong", "another size"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_the_remedy(folder, cache, name, content):
    (folder / name).write_bytes(content)
    with refused(DataError):
        load_dataset(DataSpec(source=f"mnist:{folder}"), 0, cache)


def test_a_missing_file_is_named(folder, cache):
    (folder / TEST_LABELS).unlink()
    with refused(DataError):
        load_dataset(DataSpec(source=f"mnist:{folder}"), 0, cache)
