"""Files of weights as people keep them, and those that no file of weights should be."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from scalesearch.deploy.layouts.weight_files import read_layout_state, unwrap_state_dict
from scalesearch.errors import WeightsError

TENSORS = {"a.weight": torch.arange(6.0), "b.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor] = TENSORS) -> bool:
    return list(found) == list(wanted) and all(found[n].equal(wanted[n]) for n in wanted)


def with_prefix(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    "document",
    [
        TENSORS,
        OrderedDict(TENSORS),
        {"state_dict": TENSORS, "epoch": 3, "arch": "efficientnet_b0"},
        {"model": with_prefix("module."), "optimizer": {"state": {}}},
        {"state_dict": {"model." + name: tensor for name, tensor in TENSORS.items()}},
        {"n_averaged": torch.tensor(9), **with_prefix("module._orig_mod.")},
        {"net": {"module": with_prefix("ema_model.")}, "loss": 0.1},
    ],
    ids=["plain", "ordered", "epoch", "parallel", "lightning", "averaged", "nested"],
)
def test_what_is_wrapped_around_a_state_dict_is_taken_off(document: object) -> None:
    assert same(unwrap_state_dict(document, "file"))


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema"])
def test_averaged_weights_are_taken_before_the_others(key: str) -> None:
    other = {name: tensor + 1 for name, tensor in TENSORS.items()}
    assert same(unwrap_state_dict({"state_dict": other, "model": other, key: TENSORS}, "file"))


@pytest.mark.parametrize("document", [{}, {"epoch": 1}, [1, 2], torch.ones(2), {"model": {}}])
def test_what_holds_no_tensors_by_name_is_refused(document: object) -> None:
    with pytest.raises(WeightsError, match="file: need a state dict, tensors by name, got a"):
        unwrap_state_dict(document, "file")


def test_a_wrapper_that_holds_itself_is_refused(tmp_path: Path) -> None:
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="need a state dict, tensors by name, got a mapping"):
        read_layout_state(tmp_path / "a.pth")


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_both_forms_of_pytorchs_files_are_read(new: bool, tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.bin", _use_new_zipfile_serialization=new)
    assert same(read_layout_state(tmp_path / "a.bin").tensors)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize(
    ("thing", "asked"),
    [
        (Harmful(), "pathlib.Path.touch|builtins.getattr|getattr"),
        (nn.Linear(2, 2), "torch.nn.*Linear"),
    ],
    ids=["code", "module"],
)
def test_what_would_have_to_be_executed_is_refused_and_not_executed(
    thing: object, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": TENSORS, "more": thing}, tmp_path / "a.pth")
    told = rf"need tensors and nothing that has to be executed, got ({asked}); where you trust it"
    with pytest.raises(WeightsError, match=told):  # and no advice to let it be executed
        read_layout_state(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(thing))
    with pytest.raises(WeightsError):
        read_layout_state(tmp_path / "b.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(WeightsError, match=r"a\.pth: (not a whole file|need a file of PyTorch)"):
        read_layout_state(path)


def test_an_archive_that_is_larger_inside_than_outside_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(50_000_000))
    with pytest.raises(WeightsError, match=r"got 50,000,\d+, which no file of weights"):
        read_layout_state(path)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>not found</html>", b"", b"\x00" * 64, b"PK\x03\x04 no zip"]
)
def test_what_is_no_file_of_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pth"):
        read_layout_state(tmp_path / "a.pth")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth: no such file"):
        read_layout_state(tmp_path / "none.pth")


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff\xff\xff\xff\xff\x00\x00\x00{}")
    with pytest.raises(WeightsError, match=r"a\.safetensors: cannot be read"):
        read_layout_state(tmp_path / "a.safetensors")
