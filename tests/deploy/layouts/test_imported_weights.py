"""Imported networks give the logits of their library.

The greatest difference of logits, relative to the greatest logit, is below 1e-4.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peer_networks import distance, images, logits, randomised
from refusals import refused
from safetensors.torch import save_file
from torch import nn

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.deploy.layouts.layout import tensor_pairs
from scalesearch.errors import ArchitectureError, WeightsError
from scalesearch.models.named import published_name, published_network
from scalesearch.training.network_file import read_network, write_network

MAX_DISTANCE = 1e-4
SIDES = (64, 65)
"""An even and an odd side: SAME padding differs from half padding in the first alone."""

NetworkFactory = Callable[..., nn.Module]

each_layout = pytest.mark.parametrize("layout", ["torchvision", "timm", "timm-tf", "lukemelas"])


@each_layout
def test_imported_b0_gives_the_logits_of_its_library(
    layout: str, library_networks: dict[str, NetworkFactory]
) -> None:
    for side in SIDES if layout != "lukemelas" else (64,):
        size_option = {"image_size": side} if layout == "lukemelas" else {}  # it pads for one size
        peer = randomised(library_networks[layout](0, num_classes=7, **size_option))
        saved = import_weights(peer.state_dict(), "efficientnet_b0", layout)
        expected = logits(peer, images(side))
        assert expected.std() > 0.05
        assert distance(logits(saved.network, images(side)), expected) < MAX_DISTANCE


@each_layout
def test_another_eps_of_the_norms_changes_the_logits(
    layout: str, library_networks: dict[str, NetworkFactory]
) -> None:
    size_option = {"image_size": 64} if layout == "lukemelas" else {}
    peer = randomised(library_networks[layout](0, num_classes=7, **size_option))
    correct = import_weights(peer.state_dict(), "efficientnet_b0", layout)
    eps = 1e-5 if correct.network.options.norm_eps > 1e-4 else 1e-3
    with_other_eps = import_weights(peer.state_dict(), "efficientnet_b0", layout, norm_eps=eps)
    assert (
        distance(logits(with_other_eps.network, images(64)), logits(peer, images(64)))
        > 3 * MAX_DISTANCE
    )


@each_layout
@pytest.mark.parametrize(
    "number", [1, 4, 5, 7, *(pytest.param(norm, marks=pytest.mark.slow) for norm in (0, 2, 3, 6))]
)
def test_tensor_names_and_shapes_and_norms_of_b0_to_b7_are_those_of_the_library(
    layout: str, number: int, library_networks: dict[str, NetworkFactory]
) -> None:
    with torch.device("meta"):
        peer = library_networks[layout](number)
    network = published_network(f"b{number}")
    assert {pair.layout_name: pair.shape for pair in tensor_pairs(network, LAYOUTS[layout])} == {
        name: tuple(tensor.shape) for name, tensor in peer.state_dict().items()
    }
    norms = LAYOUTS[layout].norm_settings(network)
    norm_settings = {
        (norm.eps, norm.momentum) for norm in peer.modules() if isinstance(norm, nn.BatchNorm2d)
    }
    assert [pytest.approx(settings) for settings in norm_settings] == [(norms.eps, norms.momentum)]


@pytest.mark.parametrize(
    ("layout", "library", "name"),
    [
        ("torchvision", "torchvision", "efficientnet_v2_s"),
        ("timm-tf", "timm", "tf_efficientnetv2_s"),
    ],
)
def test_tensor_names_of_fused_blocks_are_those_of_the_library(
    layout: str, library: str, name: str, torchvision: ModuleType, timm: ModuleType
) -> None:
    with torch.device("meta"):
        factories = {"torchvision": torchvision.models.get_model, "timm": timm.create_model}
        peer = factories[library](name)
    network = published_network("efficientnetv2_s")
    assert {pair.layout_name: pair.shape for pair in tensor_pairs(network, LAYOUTS[layout])} == {
        name: tuple(tensor.shape) for name, tensor in peer.state_dict().items()
    }
    assert {norm.eps for norm in peer.modules() if isinstance(norm, nn.BatchNorm2d)} == {
        LAYOUTS[layout].norm_settings(network).eps
    }


def test_an_imported_network_of_any_size_gives_the_logits_of_torchvision(
    torchvision: ModuleType,
) -> None:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    peer = EfficientNet(
        [
            FusedMBConvConfig(1, 3, 1, 24, 24, 2),
            FusedMBConvConfig(4, 3, 2, 24, 32, 1),
            MBConvConfig(1, 5, 2, 32, 40, 3, 1.0, 1.0),
            MBConvConfig(3, 3, 2, 40, 72, 2, 1.0, 1.0),
        ],
        dropout=0.0,
        last_channel=96,
        num_classes=5,
    )
    architecture = Architecture(
        stem=24,
        stages=(
            Stage(2, 24, block="fused_mbconv", squeeze=0),
            Stage(1, 32, stride=2, expansion=4, block="fused_mbconv", squeeze=0),
            Stage(3, 40, stride=2, kernel=5),
            Stage(2, 72, stride=2, expansion=3),
        ),
        head=96,
        resolution=64,
        num_classes=5,
    )
    saved = import_weights(randomised(peer).state_dict(), architecture)
    assert saved.network.options.norm_eps == 1e-5
    assert distance(logits(saved.network, images(64)), logits(peer, images(64))) < MAX_DISTANCE


def test_an_imported_network_is_the_same_after_writing_and_reading(
    library_networks: dict[str, NetworkFactory], tmp_path: Path
) -> None:
    peer = randomised(library_networks["timm-tf"](0, num_classes=7))
    saved = import_weights(peer.state_dict(), "tf_efficientnet_b0")
    assert saved.network.options.padding == "same"
    path = write_network(tmp_path / "n.safetensors", saved.network, saved.preparation)
    restored = read_network(path)
    assert restored.preparation == saved.preparation
    assert torch.equal(logits(restored.network, images(64)), logits(saved.network, images(64)))


def test_classes_and_channels_of_a_named_network_follow_the_file(timm: ModuleType) -> None:
    peer = timm.create_model("efficientnet_b0", num_classes=3, in_chans=1)
    saved = import_weights(
        peer.state_dict(), "efficientnet_b0", "timm", class_names=("a", "b", "c")
    )
    assert (saved.architecture.num_classes, saved.architecture.in_channels) == (3, 1)
    assert saved.preparation is not None
    assert saved.preparation.class_names == ("a", "b", "c")
    assert saved.preparation.mean == pytest.approx((0.449,))


def test_an_architecture_is_adapted_to_the_file_only_with_fit(timm: ModuleType) -> None:
    tensors = timm.create_model("efficientnet_b0", num_classes=3).state_dict()
    ten_classes = replace(published_network("b0"), num_classes=10)
    with refused(WeightsError):
        import_weights(tensors, ten_classes, "timm")
    assert import_weights(tensors, ten_classes, "timm", fit=True).architecture.num_classes == 3


def test_images_are_resized_as_in_the_library_of_the_weights() -> None:
    assert {layout.resize_to(224) for layout in LAYOUTS.values()} == {256}
    assert LAYOUTS["torchvision"].resize_to(380) == 434
    assert LAYOUTS["timm-tf"].resize_to(380) == 412  # timm's crop_pct of tf_efficientnet_b4: 0.922


def test_published_networks_are_recognised_by_name_and_by_shape() -> None:
    for spelling in ("efficientnet_b3", "efficientnet-b3", "tf_efficientnet_b3", "b3", "B3"):
        network = published_network(spelling)
        assert network.resolution == 300
        assert published_name(replace(network, num_classes=5, resolution=128)) == "b3"
    assert published_name(replace(published_network("b3"), head=1000)) == ""
    with refused(ArchitectureError):
        published_network("efficientnet_b9")


def test_safetensors_and_pytorch_files_give_the_same_tensors(
    library_networks: dict[str, NetworkFactory], tmp_path: Path
) -> None:
    tensors = randomised(library_networks["torchvision"](0, num_classes=2)).state_dict()
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pth")
    safetensors_state, pytorch_state = (
        import_weights(tmp_path / name, "b0").network.state_dict()
        for name in ("a.safetensors", "a.pth")
    )
    assert all(
        torch.equal(safetensors_state[name], pytorch_state[name]) for name in safetensors_state
    )
