"""Harmful files are refused: nothing is executed, and little memory is used."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from scalesearch.deploy.layouts.conversion import import_weights, to_layout
from scalesearch.deploy.layouts.weight_files import read_layout_state
from scalesearch.deploy.pretrained.from_source import from_pretrained
from scalesearch.errors import WeightsError
from scalesearch.training.network_file import read_network

HUGE_SIZE = 2 * 10**9


class PickledCall:
    """An object whose pickle calls a function when it is opened."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def pickled(value: Any) -> bytes:
    return pickle.dumps({"a": value}, protocol=2)


def legacy_file(value: Any) -> bytes:
    system_info = {"protocol_version": PROTOCOL_VERSION, "little_endian": True, "type_sizes": {}}
    documents = (MAGIC_NUMBER, PROTOCOL_VERSION, system_info, {"a": value}, [])
    return b"".join(pickle.dumps(document, protocol=2) for document in documents)


def zip_file(value: Any, has_duplicate: bool = False) -> bytes:
    original, changed = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(3)}, original)
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, pickled(value) if name.endswith("data.pkl") else content)
            if has_duplicate and name.endswith("data.pkl"):
                target.writestr(name, content)
    return changed.getvalue()


def expanded_tensor_file() -> bytes:
    """A file that holds one number and claims to hold two gigabytes."""
    buffer = io.BytesIO()
    expanded = torch.zeros(()).expand(HUGE_SIZE // 5120, 1280)
    torch.save(
        {"classifier.1.weight": expanded, "features.0.0.weight": torch.zeros(32, 3, 3, 3)}, buffer
    )
    return buffer.getvalue()


BOMBS = {
    "bare": pickled(PickledCall(bytearray, HUGE_SIZE)),
    "old": legacy_file(PickledCall(bytearray, HUGE_SIZE)),
    "new": zip_file(PickledCall(bytearray, HUGE_SIZE)),
    "repeated": expanded_tensor_file(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_huge_size_in_a_file_uses_no_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(BOMBS[name])
    with refused(WeightsError):
        read_layout_state(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_name_in_an_archive_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_file(PickledCall(bytearray, HUGE_SIZE), has_duplicate=True))
    with refused(WeightsError):
        read_layout_state(path)


@pytest.mark.slow
def test_all_harmful_files_together_use_little_memory(tmp_path: Path) -> None:
    for name, content in BOMBS.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
    program = f"""
import pathlib, resource
from scalesearch.errors import WeightsError
from scalesearch.deploy.layouts.conversion import import_weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in pathlib.Path({str(tmp_path)!r}).glob("*.pth"):
    try:
        import_weights(path, "efficientnet_b0", "torchvision")
    except WeightsError:
        print(path.stem)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000, "MB")
"""
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    *refused_names, memory = process.stdout.splitlines()
    assert sorted(refused_names) == sorted(BOMBS)
    assert int(memory.split()[0]) < 300


def test_calls_in_a_pickle_are_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    for make_file in (pickled, legacy_file, zip_file):
        path.write_bytes(make_file(PickledCall(os.mkdir, str(tmp_path / "made"))))
        for reader in (read_layout_state, read_network, from_pretrained):
            with pytest.raises(WeightsError):
                reader(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        (2**63 - 1).to_bytes(8, "little") + b'{"a":',
        (2**40).to_bytes(8, "little") + b"{" + bytes(100),
        bytes(8),
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02" + bytes(100),
        b"\x89HDF\r\n\x1a\n" + bytes(100),
    ],
    ids=["empty", "page", "pointer", "length", "header", "zeros", "archive", "pickle", "hdf5"],
)
def test_every_reader_refuses_a_file_without_weights(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    for reader in (read_layout_state, read_network, from_pretrained):
        with refused(WeightsError):
            reader(path)


def test_a_header_that_points_outside_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for start, stop, shape in ((0, 400, [100]), (4, 0, [1]), (0, 4, [2**40]), (-4, 0, [1])):
        header = f'{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{stop}]}}}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
        for reader in (read_layout_state, read_network):
            with pytest.raises(WeightsError):
                reader(path)


def test_every_reader_refuses_a_folder(tmp_path: Path) -> None:
    for reader in (read_layout_state, read_network, from_pretrained):
        with pytest.raises(WeightsError):
            reader(tmp_path)


def test_a_harmless_file_is_read(tmp_path: Path) -> None:
    from scalesearch.models.named import published_network
    from scalesearch.models.network import build_model

    network = build_model(published_network("efficientnet_b0")).eval()
    tensors = to_layout(network, "torchvision")
    for is_zip in (True, False):
        torch.save(tensors, tmp_path / "b0.pth", _use_new_zipfile_serialization=is_zip)
        saved = import_weights(tmp_path / "b0.pth", "efficientnet_b0")
        assert torch.equal(saved.network.classifier.weight, network.classifier.weight)
