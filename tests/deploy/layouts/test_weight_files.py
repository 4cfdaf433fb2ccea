"""Files of weights in their usual forms, and invalid ones."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from refusals import refused
from torch import nn

from scalesearch.deploy.layouts.weight_files import read_layout_state, unwrap_state_dict
from scalesearch.errors import WeightsError

TENSORS = {"a.weight": torch.arange(6.0), "b.bias": torch.ones(2)}


def has_equal_tensors(
    tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor] = TENSORS
) -> bool:
    return list(tensors) == list(expected) and all(
        tensors[name].equal(expected[name]) for name in expected
    )


def tensors_with_prefix(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    "document",
    [
        TENSORS,
        OrderedDict(TENSORS),
        {"state_dict": TENSORS, "epoch": 3, "arch": "efficientnet_b0"},
        {"model": tensors_with_prefix("module."), "optimizer": {"state": {}}},
        {"state_dict": {"model." + name: tensor for name, tensor in TENSORS.items()}},
        {"n_averaged": torch.tensor(9), **tensors_with_prefix("module._orig_mod.")},
        {"net": {"module": tensors_with_prefix("ema_model.")}, "loss": 0.1},
    ],
    ids=["plain", "ordered", "epoch", "parallel", "lightning", "averaged", "nested"],
)
def test_wrappers_around_a_state_dict_are_removed(document: object) -> None:
    assert has_equal_tensors(unwrap_state_dict(document, "file"))


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema"])
def test_averaged_weights_are_preferred(key: str) -> None:
    last_weights = {name: tensor + 1 for name, tensor in TENSORS.items()}
    assert has_equal_tensors(
        unwrap_state_dict({"state_dict": last_weights, "model": last_weights, key: TENSORS}, "file")
    )


@pytest.mark.parametrize("document", [{}, {"epoch": 1}, [1, 2], torch.ones(2), {"model": {}}])
def test_a_document_without_named_tensors_is_refused(document: object) -> None:
    with refused(WeightsError):
        unwrap_state_dict(document, "file")


def test_a_wrapper_that_contains_itself_is_refused(tmp_path: Path) -> None:
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "a.pth")
    with refused(WeightsError):
        read_layout_state(tmp_path / "a.pth")


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_both_file_formats_of_pytorch_are_read(is_zip: bool, tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.bin", _use_new_zipfile_serialization=is_zip)
    assert has_equal_tensors(read_layout_state(tmp_path / "a.bin").tensors)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize(
    ("harmful", "names"),
    [
        (Harmful(), "pathlib.Path.touch|builtins.getattr|getattr"),
        (nn.Linear(2, 2), "torch.nn.*Linear"),
    ],
    ids=["code", "module"],
)
def test_a_file_that_would_execute_code_is_refused_without_executing_it(
    harmful: object, names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": TENSORS, "more": harmful}, tmp_path / "a.pth")
    message = (
        rf"need tensors and nothing that has to be executed, got ({names}); where you trust it"
    )
    with pytest.raises(WeightsError, match=message):  # and no advice to let it be executed
        read_layout_state(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(harmful))
    with pytest.raises(WeightsError):
        read_layout_state(tmp_path / "b.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_off_is_refused(fraction: float, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with refused(WeightsError):
        read_layout_state(path)


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(50_000_000))
    with refused(WeightsError):
        read_layout_state(path)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>not found</html>", b"", b"\x00" * 64, b"PK\x03\x04 no zip"]
)
def test_a_file_without_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with refused(WeightsError):
        read_layout_state(tmp_path / "a.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused(WeightsError):
        read_layout_state(tmp_path / "none.pth")


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff\xff\xff\xff\xff\x00\x00\x00{}")
    with refused(WeightsError):
        read_layout_state(tmp_path / "a.safetensors")
