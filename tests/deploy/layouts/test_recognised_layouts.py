"""Recognition of the layout and network of tensors, and errors for those that do not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peer_networks import images, logits, randomised
from refusals import refused
from torch import nn

from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.models.network import build_model
from scalesearch.training.network_file import write_network

NetworkFactory = Callable[..., nn.Module]


@pytest.fixture(scope="module")
def b0_tensors(library_networks: dict[str, NetworkFactory]) -> dict[str, torch.Tensor]:
    return randomised(library_networks["timm"](0, num_classes=7)).state_dict()


def test_layouts_are_recognised_by_their_tensor_names(
    library_networks: dict[str, NetworkFactory],
) -> None:
    for layout in ("torchvision", "lukemelas"):
        saved = import_weights(library_networks[layout](0).state_dict(), "efficientnet_b0")
        assert LAYOUTS[layout].source in saved.origin


def test_the_two_layouts_of_timm_are_distinguished_by_file_name(
    b0_tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    paddings = {}
    for name in ("tf_efficientnet_b0-1.pth", "efficientnet_b0-1.pth", "mine.pth"):
        torch.save(b0_tensors, tmp_path / name)
        try:
            saved = import_weights(tmp_path / name, "efficientnet_b0")
        except WeightsError as error:
            assert "add --layout timm or timm-tf" in str(error)  # noqa: PT017
            continue
        paddings[name] = saved.network.options.padding
    assert paddings == {"tf_efficientnet_b0-1.pth": "same", "efficientnet_b0-1.pth": "half"}
    assert import_weights(b0_tensors, "tf_efficientnet_b0").network.options.padding == "same"


def test_tensors_of_no_known_layout_are_refused() -> None:
    with refused(WeightsError):
        import_weights({"weight": torch.zeros(3)}, "efficientnet_b0")
    with refused(WeightsError):
        import_weights({"weight": torch.zeros(3)}, "efficientnet_b0", "tensorflow")


def test_importing_a_network_file_of_scalesearch_is_refused(tmp_path: Path) -> None:
    path = write_network(
        tmp_path / "n.safetensors", build_model(published_network("efficientnet_b0"))
    )
    with refused(WeightsError):
        import_weights(path, "efficientnet_b0")


def test_tensors_of_another_layout_are_listed_with_their_layout(
    b0_tensors: dict[str, torch.Tensor],
) -> None:
    with refused(WeightsError):
        import_weights(b0_tensors, "efficientnet_b0", "torchvision")


def test_tensors_of_another_network_are_listed_with_their_network(
    b0_tensors: dict[str, torch.Tensor],
) -> None:
    with refused(WeightsError):
        import_weights(b0_tensors, "efficientnet_b1", "timm")


def test_missing_unexpected_and_misshapen_tensors_are_listed(
    b0_tensors: dict[str, torch.Tensor],
) -> None:
    changed = dict(b0_tensors)
    del changed["blocks.1.0.bn2.weight"]
    changed["extra.weight"] = torch.zeros(2)
    changed["conv_head.weight"] = torch.zeros(1280, 320)
    with refused(WeightsError):
        import_weights(changed, "efficientnet_b0", "timm")


def test_batch_counts_of_norms_may_be_missing(b0_tensors: dict[str, torch.Tensor]) -> None:
    without_counts = {
        name: value for name, value in b0_tensors.items() if "num_batches" not in name
    }
    saved = import_weights(without_counts, "efficientnet_b0", "timm")
    with_counts = import_weights(b0_tensors, "efficientnet_b0", "timm")
    assert torch.equal(logits(saved.network, images(64)), logits(with_counts.network, images(64)))


def test_half_precision_is_converted_to_float32(b0_tensors: dict[str, torch.Tensor]) -> None:
    half_tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in b0_tensors.items()
    }
    network = import_weights(half_tensors, "efficientnet_b0", "timm").network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "tensor",
    [
        torch.full((1280,), torch.nan),
        torch.zeros(1280, dtype=torch.complex64),
        torch.zeros(1280, dtype=torch.int8),
        torch.zeros(1280, device="meta"),
        torch.zeros(1280).to_sparse(),
    ],
)
def test_tensors_without_finite_real_numbers_are_refused(
    b0_tensors: dict[str, torch.Tensor], tensor: torch.Tensor
) -> None:
    with refused(WeightsError):
        import_weights({**b0_tensors, "bn2.weight": tensor}, "efficientnet_b0", "timm")


def test_a_wrong_number_of_class_names_is_refused(b0_tensors: dict[str, torch.Tensor]) -> None:
    with refused(WeightsError):
        import_weights(b0_tensors, "efficientnet_b0", "timm", class_names=("a", "b"))
