"""Decoded once, and never trusted blindly."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

import scalesearch.data.image_cache as decoded
from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import DataError

COUNTS = {"train/ant": 6, "train/bee": 6, "val/ant": 2, "val/bee": 2}


@pytest.fixture
def decodings(monkeypatch) -> list[int]:
    """Grows by the number of files each time that files are decoded."""
    numbers = []
    decode = decoded.decode

    def counted(files, *rest):
        numbers.append(len(files))
        return decode(files, *rest)

    monkeypatch.setattr(decoded, "decode", counted)
    return numbers


@pytest.fixture
def root(make_folder) -> Path:
    return make_folder(COUNTS)


@pytest.fixture
def spec(root) -> DataSpec:
    return DataSpec(source=f"imagefolder:{root}")


def test_a_folder_is_decoded_once_for_all_splits_and_seeds(spec, cache, decodings):
    first, second = load_dataset(spec, 0, cache), load_dataset(spec, 0, cache)
    load_test_split(spec, cache)
    load_dataset(DataSpec(source=spec.source, train_samples=4), 2, cache)
    assert decodings == [16]
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.train.images, second.train.images)


def test_another_size_is_decoded_anew(spec, cache, decodings):
    load_dataset(spec, 0, cache)
    assert load_dataset(DataSpec(source=spec.source, pixels=4), 0, cache).pixels == 4
    assert len(decodings) == 2


def test_a_changed_image_is_seen_even_with_size_and_time_of_before(spec, root, cache, decodings):
    path = root / "val/ant/000.png"
    before = load_dataset(spec, 0, cache)
    status, content = path.stat(), path.read_bytes()
    other = (root / "val/bee/000.png").read_bytes()
    path.write_bytes(other[: len(content)].ljust(len(content), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    after = load_dataset(spec, 0, cache)
    assert len(decodings) == 2
    assert after.fingerprint != before.fingerprint


def test_a_touched_image_is_decoded_anew_to_the_same_fingerprint(spec, root, cache, decodings):
    before = load_dataset(spec, 0, cache).fingerprint
    os.utime(root / "val/ant/000.png", ns=(1, 1))
    assert load_dataset(spec, 0, cache).fingerprint == before
    assert len(decodings) == 2


def test_an_image_more_is_seen(spec, root, cache, picture):
    load_dataset(spec, 0, cache)
    picture(99).save(root / "train/ant/more.png")
    assert len(load_dataset(spec, 0, cache).train) == 13 - 3  # a fifth of thirteen is for test


def test_the_store_is_a_memory_mappable_array_beside_its_description(spec, cache):
    load_dataset(spec, 0, cache)
    (pixels,) = cache.glob("*.npy")
    (description,) = cache.glob("*.json")
    document = json.loads(description.read_text())
    images = np.load(pixels, mmap_mode="r")
    assert (images.dtype, images.shape) == (np.uint8, (16, 3, 8, 8))
    assert document["class_names"] == ["ant", "bee"]
    assert document["labels"] == [0] * 6 + [1] * 6 + [0, 0, 1, 1]
    assert document["paths"][0] == "train/ant/000.png"
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("suffix", ["npy", "json"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"",
        lambda content: None,
    ],
    ids=["torn", "altered", "emptied", "removed"],
)
def test_a_damaged_store_is_built_again(spec, cache, decodings, suffix, harm):
    before = load_dataset(spec, 0, cache)
    (path,) = cache.glob(f"*.{suffix}")
    harmed = harm(path.read_bytes())
    if harmed is None:
        path.unlink()
    else:
        path.write_bytes(harmed)
    again = load_dataset(spec, 0, cache)
    assert torch.equal(again.train.images, before.train.images)
    assert len(decodings) == 2
    load_dataset(spec, 0, cache)
    assert len(decodings) == 2  # and is whole again


def test_an_interrupted_decoding_leaves_nothing_behind(spec, cache):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(spec, 0, cache, progress=interrupt)
    assert not list(cache.iterdir())
    assert len(load_dataset(spec, 0, cache).validation) == 4


@pytest.mark.parametrize(("variable", "below"), [("XDG_CACHE_HOME", ""), ("HOME", ".cache")])
def test_the_default_place_is_read_when_it_is_needed(spec, tmp_path, monkeypatch, variable, below):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "home"))
    load_dataset(spec, 0)
    assert len(list((tmp_path / "home" / below / "scalesearch").glob("*.npy"))) == 1


def test_a_cache_that_cannot_be_written_is_refused(spec, tmp_path):
    (tmp_path / "file").touch()
    with refused(DataError):
        load_dataset(spec, 0, tmp_path / "file")
