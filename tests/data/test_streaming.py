"""Images on disk: the same bits as in memory, read ahead, and never silently other ones."""

import os
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

import scalesearch.data.streaming as streaming
from scalesearch.config.experiment import DataSpec
from scalesearch.data.dataset import Split, channel_statistics, dataset_fingerprint
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.data.streaming import (
    MappedImages,
    fits_in_memory,
    image_chunks,
    map_images,
    prefetch,
    take_images,
)
from scalesearch.errors import DataError

COUNTS = {"train/ant": 20, "train/bee": 20, "val/ant": 3, "val/bee": 3}
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)


@pytest.fixture
def stored() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (600, 3, 4, 4), dtype=np.uint8)


@pytest.fixture
def path(stored, tmp_path) -> Path:
    np.save(tmp_path / "images.npy", stored)
    return tmp_path / "images.npy"


@pytest.fixture
def splits(path, stored) -> tuple[Split, Split]:
    """The same rows in memory and on disk."""
    rows = np.random.default_rng(1).permutation(600)[:500]
    labels = torch.arange(500)
    return Split(torch.from_numpy(stored[rows]), labels), Split(
        map_images(path).subset(rows), labels
    )


def rows_of_batches(seed: int = 0) -> list[torch.Tensor]:
    return list(torch.split(torch.randperm(500, generator=torch.Generator().manual_seed(seed)), 64))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_batches_from_disk_are_those_from_memory(splits, device):
    resident, on_disk = splits
    assert (resident.is_resident, on_disk.is_resident) == (True, False)
    batches = [list(split.batches(rows_of_batches(), device)) for split in splits]
    assert len(batches[0]) == 8
    for (images, labels), (streamed, their_labels), rows in zip(
        *batches, rows_of_batches(), strict=True
    ):
        assert torch.equal(images.cpu(), resident.images[rows])
        assert torch.equal(images, streamed)
        assert torch.equal(labels, their_labels)
        assert torch.equal(labels.cpu(), rows)
        assert streamed.device.type == labels.device.type == device
        assert (streamed.dtype, labels.dtype) == (torch.uint8, torch.int64)


def test_shape_name_and_statistics_do_not_depend_on_where_images_are(splits):
    resident, on_disk = splits
    assert on_disk.images.shape == resident.images.shape
    assert len(on_disk) == len(on_disk.images) == 500
    assert on_disk.images.nbytes == resident.images.nbytes
    assert dataset_fingerprint([on_disk], ["a"]) == dataset_fingerprint([resident], ["a"])
    assert channel_statistics(on_disk.images) == channel_statistics(resident.images)
    assert torch.equal(torch.cat(list(image_chunks(on_disk.images))), resident.images)


def test_rows_of_rows_are_rows_of_the_file(path, stored):
    part = map_images(path).subset(np.array([5, 3, 9])).subset(np.array([2, 0]))
    assert np.array_equal(part.take(torch.tensor([0, 1, 0])), stored[[9, 5, 9]])
    assert np.array_equal(take_images(part, torch.tensor([-1])), stored[[5]])
    with pytest.raises(IndexError):
        part.take(torch.tensor([2]))


def test_images_on_disk_stay_there_whatever_the_device(splits):
    _, on_disk = splits
    assert on_disk.to("meta") is on_disk


def test_what_was_taken_may_be_changed(splits, stored, path):
    for images, _ in splits[1].batches(rows_of_batches(), "cpu"):
        images.zero_()
    assert np.array_equal(np.load(path), stored)


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4, 4), np.float32), np.zeros((4, 4), np.uint8)])
def test_other_arrays_are_refused(array, tmp_path):
    np.save(tmp_path / "other.npy", array)
    with refused(ValueError):
        map_images(tmp_path / "other.npy")


def test_two_results_are_worked_out_ahead_and_no_more():
    begun = []
    results = prefetch(lambda n: begun.append(n) or n, range(10))
    assert next(results) == 0
    deadline = time.monotonic() + 200
    while len(begun) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert begun == [0, 1, 2]
    assert list(results) == list(range(1, 10))
    assert begun == list(range(10))


def test_an_exception_in_the_thread_reaches_the_caller_in_its_turn():
    results = prefetch(lambda n: 6 // n, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not reading_threads()


def test_the_thread_ends_with_the_batches(splits):
    batches = splits[1].batches(rows_of_batches(), "cpu")
    next(batches)
    assert reading_threads()
    batches.close()
    assert not reading_threads()
    assert len(list(splits[1].batches(rows_of_batches(), "cpu"))) == 8
    assert not reading_threads()


def altered(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    os.utime(path, ns=(1, 1))  # not left to the fineness of the file system's clock


def shortened(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize("harm", [altered, shortened])
def test_a_file_that_changes_while_it_is_read_ends_the_run(splits, path, harm):
    batches = splits[1].batches(rows_of_batches(), "cpu")
    next(batches)
    harm(path)
    with refused(DataError):
        list(batches)


def test_a_file_that_was_removed_or_replaced_stays_what_it_was(splits, path):
    resident, on_disk = splits
    path.unlink()
    assert torch.equal(on_disk.images.take(torch.arange(500)), resident.images)
    np.save(path, np.zeros((600, 3, 4, 4), dtype=np.uint8))
    assert torch.equal(on_disk.images.take(torch.arange(500)), resident.images)


@pytest.fixture
def folder(make_folder) -> DataSpec:
    return DataSpec(source=f"imagefolder:{make_folder(COUNTS)}")


def loaded(folder: DataSpec, cache: Path, resident: bool | None):
    spec = DataSpec(source=folder.source, resident=resident)
    return load_dataset(spec, 0, cache), load_test_split(spec, cache)


def test_a_data_set_is_the_same_on_disk_and_in_memory(folder, cache):
    (memory, test), (disk, test_on_disk) = (loaded(folder, cache, r) for r in (True, False))
    assert memory.train.is_resident
    assert not disk.train.is_resident
    assert (memory.fingerprint, memory.mean, memory.std) == (disk.fingerprint, disk.mean, disk.std)
    assert (memory.channels, memory.pixels) == (disk.channels, disk.pixels)
    for here, there in ((memory.train, disk.train), (test, test_on_disk)):
        assert torch.equal(here.images, take_images(there.images, torch.arange(len(there))))
        assert torch.equal(here.labels, there.labels)


@pytest.mark.parametrize(("free", "resident"), [(10**9, True), (10**4, False)])
def test_images_are_in_memory_where_they_take_less_than_half_of_it(
    folder, cache, monkeypatch, free, resident
):
    monkeypatch.setattr(streaming, "_free_bytes", lambda device: iter([10**12, free]))
    data, _ = loaded(folder, cache, None)  # 38 images of 192 bytes are 7,296
    assert data.train.is_resident is resident
    assert isinstance(data.train.images, MappedImages) is not resident


def test_corrupt_images_that_are_left_out_are_left_out_on_disk_too(folder, cache):
    root = Path(folder.source.partition(":")[2])
    (root / "train/ant/000.png").write_bytes(b"broken")
    datasets = []
    for resident in (True, False):
        spec = DataSpec(source=folder.source, resident=resident, skip_corrupt=True)
        with pytest.warns(UserWarning, match="1 of 46 images cannot be read"):
            datasets.append(load_dataset(spec, 0, cache))
    assert datasets[0].fingerprint == datasets[1].fingerprint


def test_this_machine_says_how_much_memory_is_free():
    assert fits_in_memory(1)
    assert not fits_in_memory(2**60)


def test_a_container_has_what_its_limit_leaves_and_its_cached_files(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 250\n")
    assert list(streaming._container_free_bytes(tmp_path)) == [550]
    (tmp_path / "memory.max").write_text("max\n")
    assert list(streaming._container_free_bytes(tmp_path)) == []
    assert list(streaming._container_free_bytes(tmp_path / "absent")) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_images_that_would_fill_the_device_stay_on_disk(folder, cache, monkeypatch):
    memory = namedtuple("memory", ["free", "total"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: memory(10**4, 10**9))
    assert not load_dataset(folder, 0, cache, device="cuda").train.is_resident
    assert load_dataset(folder, 0, cache).train.is_resident
