"""CIFAR's binary version."""

import hashlib
import io
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import SOURCES, load_dataset, load_test_split
from scalesearch.data.sources.cifar import CIFAR10, CIFAR100, read_cifar
from scalesearch.errors import DataError

NAMES10 = [f"animal_{number}" for number in range(10)]
NAMES100 = [f"thing_{number}" for number in range(100)]


def pixels(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def records(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """As the format has it: label bytes, then 1024 bytes of red, of green, of blue."""
    columns = [label.astype(np.uint8)[:, np.newaxis] for label in labels]
    return np.concatenate([*columns, images.reshape(len(images), -1)], axis=1).tobytes()


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def files10() -> dict[str, bytes]:
    """Five batches of 20 and 10 of test; image i of all is pixels(i // 20, ...)."""
    labels = np.arange(20) % 10
    files = {f"data_batch_{n}.bin": records(pixels(n, 20), (labels + n) % 10) for n in range(1, 6)}
    meta = "\n".join(NAMES10) + "\n\n"
    return {
        "batches.meta.txt": meta.encode(),
        "readme.html": b"-",
        **dict(reversed(files.items())),  # archives need not be in order
        "test_batch.bin": records(pixels(9, 10), np.arange(10)),
    }


@pytest.fixture
def cifar10(tmp_path, files10) -> DataSpec:
    write_archive(tmp_path / "mine" / CIFAR10.archive.name, "cifar-10-batches-bin", files10)
    return DataSpec(source=f"cifar10:{tmp_path / 'mine'}", validation_samples=10)


@pytest.fixture
def cifar100(tmp_path) -> DataSpec:
    fine = np.arange(300) % 100
    files = {
        "train.bin": records(pixels(1, 300), fine // 5, fine),
        "test.bin": records(pixels(2, 100), np.arange(100) // 5, np.arange(100)),
        "fine_label_names.txt": ("\n".join(NAMES100) + "\n").encode(),
        "coarse_label_names.txt": b"kind\n" * 20,
    }
    write_archive(tmp_path / "mine" / CIFAR100.archive.name, "cifar-100-binary", files)
    return DataSpec(source=f"cifar100:{tmp_path / 'mine'}")


def test_images_are_read_in_the_order_of_the_batches_red_first(cifar10, cache):
    data, test = load_dataset(cifar10, 0, cache), load_test_split(cifar10, cache)
    assert (data.channels, data.pixels, data.class_names) == (3, 32, tuple(NAMES10))
    assert data.allows_flip
    assert (len(data.train), len(data.validation), len(test)) == (90, 10, 10)
    everything = np.concatenate([pixels(n, 20) for n in range(1, 6)])
    labels = np.concatenate([(np.arange(20) + n) % 10 for n in range(1, 6)])
    rows = [
        np.flatnonzero((everything == image).all((1, 2, 3)))[0]
        for image in data.train.images.numpy()
    ]
    assert rows == sorted(rows)
    assert np.array_equal(data.train.labels, labels[rows])
    assert np.array_equal(test.images, pixels(9, 10))
    assert test.labels.tolist() == list(range(10))


def test_the_second_byte_of_cifar100_is_the_fine_label(cifar100, cache):
    data, test = load_dataset(cifar100, 0, cache), load_test_split(cifar100, cache)
    assert data.class_names == tuple(NAMES100)
    assert test.labels.tolist() == list(range(100))
    assert np.array_equal(test.images, pixels(2, 100))


def test_images_are_stored_at_the_pixels_asked_for(cifar10, cache):
    small = load_dataset(replace(cifar10, pixels=16), 0, cache)
    full = load_dataset(cifar10, 0, cache)
    assert small.pixels == 16
    assert small.train.labels.equal(full.train.labels)
    means = small.train.images.double().mean((2, 3)), full.train.images.double().mean((2, 3))
    assert (means[0] - means[1]).abs().max() < 3


def test_without_a_folder_the_archive_is_downloaded_into_the_cache(
    cifar10, cache, monkeypatch, tmp_path
):
    archive = tmp_path / "mine" / CIFAR10.archive.name
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    download = replace(CIFAR10.archive, sha256=sha256, urls=("http://127.0.0.1:1/x",))
    monkeypatch.setitem(SOURCES, "cifar10", partial(read_cifar, replace(CIFAR10, archive=download)))
    expected = cache / "downloads" / "cifar10" / archive.name
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(DataError) as error:
        load_dataset(DataSpec(source="cifar10"), 0, cache)
    assert str(expected) in str(error.value)
    archive.rename(expected)
    assert len(load_dataset(DataSpec(source="cifar10"), 0, cache).train) == 90


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"<html>",
        lambda content: b"",
        lambda content: content[:5000] + bytes(50) + content[5050:],
    ],
    ids=["truncated", "a web page", "empty", "altered"],
)
def test_a_damaged_archive_is_refused_with_the_remedy(cifar10, cache, tmp_path, harm):
    path = tmp_path / "mine" / CIFAR10.archive.name
    path.write_bytes(harm(path.read_bytes()))
    with refused(DataError):
        load_dataset(cifar10, 0, cache)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_batch_3.bin": None},
        {"data_batch_1.bin": bytes(4000)},
        {"test_batch.bin": b""},
        {"test_batch.bin": b"\x0a" + bytes(3072)},
    ],
)
def test_other_content_is_refused(cifar10, files10, cache, tmp_path, changes):
    files = {name: content for name, content in (files10 | changes).items() if content is not None}
    write_archive(tmp_path / "mine" / CIFAR10.archive.name, "cifar-10-batches-bin", files)
    with refused(DataError):
        load_dataset(cifar10, 0, cache)


def test_a_folder_without_the_archive_is_refused(tmp_path, cache):
    with refused(DataError):
        load_dataset(DataSpec(source=f"cifar10:{tmp_path}"), 0, cache)
