"""Files made to do harm: refused in a word, nothing executed, no memory taken by a number."""

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
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from scalesearch.deploy.layouts.conversion import import_weights, to_layout
from scalesearch.deploy.layouts.weight_files import read_layout_state
from scalesearch.deploy.pretrained.from_source import from_pretrained
from scalesearch.errors import WeightsError
from scalesearch.training.network_file import read_network

HUGE = 2 * 10**9


class Calls:
    """What a pickle of it calls when it is opened."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def bare(value: Any) -> bytes:
    return pickle.dumps({"a": value}, protocol=2)


def old_form(value: Any) -> bytes:
    kinds = {"protocol_version": PROTOCOL_VERSION, "little_endian": True, "type_sizes": {}}
    parts = (MAGIC_NUMBER, PROTOCOL_VERSION, kinds, {"a": value}, [])
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


def new_form(value: Any, twice: bool = False) -> bytes:
    whole, changed = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(3)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, bare(value) if name.endswith("data.pkl") else content)
            if twice and name.endswith("data.pkl"):
                target.writestr(name, content)
    return changed.getvalue()


def repeated() -> bytes:
    """One number, said to be two gigabytes of them."""
    kept = io.BytesIO()
    one = torch.zeros(()).expand(HUGE // 5120, 1280)
    torch.save({"classifier.1.weight": one, "features.0.0.weight": torch.zeros(32, 3, 3, 3)}, kept)
    return kept.getvalue()


BOMBS = {
    "bare": bare(Calls(bytearray, HUGE)),
    "old": old_form(Calls(bytearray, HUGE)),
    "new": new_form(Calls(bytearray, HUGE)),
    "repeated": repeated(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_number_in_a_file_takes_no_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(BOMBS[name])
    with pytest.raises(
        WeightsError, match=r"builtin.*bytearray, which takes|need content of about"
    ):
        read_layout_state(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_an_archive_has_twice_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(new_form(Calls(bytearray, HUGE), twice=True))
    with pytest.raises(WeightsError, match="bytearray, which takes as much memory"):
        read_layout_state(path)


@pytest.mark.slow
def test_all_bombs_together_leave_memory_as_it_was(tmp_path: Path) -> None:
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
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    *refused, taken = done.stdout.splitlines()
    assert sorted(refused) == sorted(BOMBS)
    assert int(taken.split()[0]) < 300


def test_bytes_that_code_would_make_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    for content in (bare, old_form, new_form):
        path.write_bytes(content(Calls(os.mkdir, str(tmp_path / "made"))))
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
def test_what_is_no_file_of_weights_is_refused_by_every_reader(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    for reader in (read_layout_state, read_network, from_pretrained):
        with pytest.raises(WeightsError, match=r"weights\.safetensors"):
            reader(path)


def test_a_header_may_not_point_outside_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for begin, end, shape in ((0, 400, [100]), (4, 0, [1]), (0, 4, [2**40]), (-4, 0, [1])):
        header = f'{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4))
        for reader in (read_layout_state, read_network):
            with pytest.raises(WeightsError):
                reader(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for reader in (read_layout_state, read_network, from_pretrained):
        with pytest.raises(WeightsError):
            reader(tmp_path)


def test_an_honest_file_is_read_as_before(tmp_path: Path) -> None:
    from scalesearch.models.named import published_network
    from scalesearch.models.network import build_model

    network = build_model(published_network("efficientnet_b0")).eval()
    tensors = to_layout(network, "torchvision")
    for new in (True, False):
        torch.save(tensors, tmp_path / "b0.pth", _use_new_zipfile_serialization=new)
        saved = import_weights(tmp_path / "b0.pth", "efficientnet_b0")
        assert torch.equal(saved.network.classifier.weight, network.classifier.weight)
