"""Which layout and which network tensors are of, and what is said of those that fit none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peer_networks import images, logits, stirred
from torch import nn

from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.models.network import build_model
from scalesearch.training.network_file import write_network

Made = Callable[..., nn.Module]


@pytest.fixture(scope="module")
def b0(peers: dict[str, Made]) -> dict[str, torch.Tensor]:
    return stirred(peers["timm"](0, num_classes=7)).state_dict()


def test_layouts_with_names_of_their_own_are_known_by_them(peers: dict[str, Made]) -> None:
    for layout in ("torchvision", "lukemelas"):
        saved = import_weights(peers[layout](0).state_dict(), "efficientnet_b0")
        assert LAYOUTS[layout].source in saved.origin


def test_timms_two_kinds_are_told_apart_by_names_alone(
    b0: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    paddings = {}
    for name in ("tf_efficientnet_b0-1.pth", "efficientnet_b0-1.pth", "mine.pth"):
        torch.save(b0, tmp_path / name)
        try:
            saved = import_weights(tmp_path / name, "efficientnet_b0")
        except WeightsError as error:
            assert "add --layout timm or timm-tf" in str(error)  # noqa: PT017
            continue
        paddings[name] = saved.network.options.padding
    assert paddings == {"tf_efficientnet_b0-1.pth": "same", "efficientnet_b0-1.pth": "half"}
    assert import_weights(b0, "tf_efficientnet_b0").network.options.padding == "same"


def test_tensors_of_no_layout_are_refused() -> None:
    with pytest.raises(WeightsError, match="need the tensors of a layout of torchvision, timm"):
        import_weights({"weight": torch.zeros(3)}, "efficientnet_b0")
    with pytest.raises(WeightsError, match="layout 'tensorflow': need one of torchvision"):
        import_weights({"weight": torch.zeros(3)}, "efficientnet_b0", "tensorflow")


def test_a_network_file_of_ours_needs_no_import(tmp_path: Path) -> None:
    path = write_network(
        tmp_path / "n.safetensors", build_model(published_network("efficientnet_b0"))
    )
    with pytest.raises(WeightsError, match="got a network file of ours; it needs no import"):
        import_weights(path, "efficientnet_b0")


def test_another_layouts_tensors_are_listed_and_the_layout_named(
    b0: dict[str, torch.Tensor],
) -> None:
    with pytest.raises(WeightsError) as refusal:
        import_weights(b0, "efficientnet_b0", "torchvision")
    told = str(refusal.value)
    assert "they look like those of layout timm" in told
    assert "311 missing: features.0.0.weight [32, 3, 3, 3]" in told
    assert "360 unexpected: conv_stem.weight [32, 3, 3, 3]" in told


def test_another_networks_tensors_are_listed_and_the_network_named(
    b0: dict[str, torch.Tensor],
) -> None:
    with pytest.raises(WeightsError) as refusal:
        import_weights(b0, "efficientnet_b1", "timm")
    told = str(refusal.value)
    assert "they look like those of efficientnet_b0" in told
    assert "128 missing: blocks.0.1.conv_dw.weight [16, 1, 3, 3]" in told


def test_a_tensor_too_few_or_too_many_or_of_another_shape_is_named(
    b0: dict[str, torch.Tensor],
) -> None:
    changed = dict(b0)
    del changed["blocks.1.0.bn2.weight"]
    changed["extra.weight"] = torch.zeros(2)
    changed["conv_head.weight"] = torch.zeros(1280, 320)
    with pytest.raises(WeightsError) as refusal:
        import_weights(changed, "efficientnet_b0", "timm")
    told = str(refusal.value)
    assert "1 missing: blocks.1.0.bn2.weight [96]" in told
    assert "1 unexpected: extra.weight [2]" in told
    assert "1 misshapen: conv_head.weight [1280, 320] instead of [1280, 320, 1, 1]" in told


def test_counts_of_batches_may_be_missing(b0: dict[str, torch.Tensor]) -> None:
    old = {name: value for name, value in b0.items() if "num_batches" not in name}
    saved = import_weights(old, "efficientnet_b0", "timm")
    whole = import_weights(b0, "efficientnet_b0", "timm")
    assert torch.equal(logits(saved.network, images(64)), logits(whole.network, images(64)))


def test_half_precision_is_widened(b0: dict[str, torch.Tensor]) -> None:
    half = {n: v.half() if v.is_floating_point() else v for n, v in b0.items()}
    network = import_weights(half, "efficientnet_b0", "timm").network
    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (torch.full((1280,), torch.nan), "need finite numbers"),
        (torch.zeros(1280, dtype=torch.complex64), "need real numbers"),
        (torch.zeros(1280, dtype=torch.int8), "need real numbers"),
        (torch.zeros(1280, device="meta"), "need plain numbers"),
        (torch.zeros(1280).to_sparse(), "need plain numbers"),
    ],
)
def test_what_is_no_number_to_compute_with_is_refused(
    b0: dict[str, torch.Tensor], tensor: torch.Tensor, told: str
) -> None:
    with pytest.raises(WeightsError, match=rf"bn2\.weight: {told}"):
        import_weights({**b0, "bn2.weight": tensor}, "efficientnet_b0", "timm")


def test_class_names_have_to_be_as_many_as_the_classes(b0: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="need the names of 7 classes, got 2"):
        import_weights(b0, "efficientnet_b0", "timm", class_names=("a", "b"))
