"""Other libraries' networks and ours say the same of the same image. Logits are compared by the
greatest difference relative to the greatest logit, which has to be below 1e-4."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peer_networks import distance, images, logits, stirred
from safetensors.torch import save_file
from torch import nn

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.layouts.conversion import import_weights
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.deploy.layouts.layout import tensor_pairs
from scalesearch.errors import ArchitectureError, WeightsError
from scalesearch.models.named import published_name, published_network
from scalesearch.training.network_file import read_network, write_network

CLOSE = 1e-4
SIDES = (64, 65)
"""An even and an odd side: SAME padding differs from half padding in the first alone."""

Made = Callable[..., nn.Module]

each_layout = pytest.mark.parametrize("layout", ["torchvision", "timm", "timm-tf", "lukemelas"])


@each_layout
def test_b0_of_each_library_gives_its_logits_in_a_network_of_ours(
    layout: str, peers: dict[str, Made]
) -> None:
    for side in SIDES if layout != "lukemelas" else (64,):
        static = {"image_size": side} if layout == "lukemelas" else {}  # it pads for one size
        peer = stirred(peers[layout](0, num_classes=7, **static))
        saved = import_weights(peer.state_dict(), "efficientnet_b0", layout)
        theirs = logits(peer, images(side))
        assert theirs.std() > 0.05
        assert distance(logits(saved.network, images(side)), theirs) < CLOSE


@each_layout
def test_norms_and_padding_of_another_library_would_be_noticed(
    layout: str, peers: dict[str, Made]
) -> None:
    static = {"image_size": 64} if layout == "lukemelas" else {}
    peer = stirred(peers[layout](0, num_classes=7, **static))
    right = import_weights(peer.state_dict(), "efficientnet_b0", layout)
    eps = 1e-5 if right.network.options.norm_eps > 1e-4 else 1e-3
    wrong = import_weights(peer.state_dict(), "efficientnet_b0", layout, norm_eps=eps)
    assert distance(logits(wrong.network, images(64)), logits(peer, images(64))) > 3 * CLOSE


@each_layout
@pytest.mark.parametrize(
    "number", [1, 4, 5, 7, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 2, 3, 6))]
)
def test_names_shapes_and_norms_are_those_of_the_library_from_b0_to_b7(
    layout: str, number: int, peers: dict[str, Made]
) -> None:
    with torch.device("meta"):
        peer = peers[layout](number)
    network = published_network(f"b{number}")
    assert {pair.layout_name: pair.shape for pair in tensor_pairs(network, LAYOUTS[layout])} == {
        name: tuple(tensor.shape) for name, tensor in peer.state_dict().items()
    }
    norms = LAYOUTS[layout].norm_settings(network)
    made = {(n.eps, n.momentum) for n in peer.modules() if isinstance(n, nn.BatchNorm2d)}
    assert [pytest.approx(one) for one in made] == [(norms.eps, norms.momentum)]


@pytest.mark.parametrize(
    ("layout", "library", "name"),
    [
        ("torchvision", "torchvision", "efficientnet_v2_s"),
        ("timm-tf", "timm", "tf_efficientnetv2_s"),
    ],
)
def test_fused_blocks_have_names_as_well(
    layout: str, library: str, name: str, torchvision: ModuleType, timm: ModuleType
) -> None:
    with torch.device("meta"):
        made = {"torchvision": torchvision.models.get_model, "timm": timm.create_model}
        peer = made[library](name)
    network = published_network("efficientnetv2_s")
    assert {pair.layout_name: pair.shape for pair in tensor_pairs(network, LAYOUTS[layout])} == {
        name: tuple(tensor.shape) for name, tensor in peer.state_dict().items()
    }
    assert {n.eps for n in peer.modules() if isinstance(n, nn.BatchNorm2d)} == {
        LAYOUTS[layout].norm_settings(network).eps
    }


def test_a_network_of_any_depth_and_width_gives_the_logits_of_torchvision(
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
    ours = Architecture(
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
    saved = import_weights(stirred(peer).state_dict(), ours)
    assert saved.network.options.norm_eps == 1e-5
    assert distance(logits(saved.network, images(64)), logits(peer, images(64))) < CLOSE


def test_what_was_imported_is_the_same_after_it_was_written(
    peers: dict[str, Made], tmp_path: Path
) -> None:
    peer = stirred(peers["timm-tf"](0, num_classes=7))
    saved = import_weights(peer.state_dict(), "tf_efficientnet_b0")
    assert saved.network.options.padding == "same"
    path = write_network(tmp_path / "n.safetensors", saved.network, saved.preparation)
    again = read_network(path)
    assert again.preparation == saved.preparation
    assert torch.equal(logits(again.network, images(64)), logits(saved.network, images(64)))


def test_classes_and_channels_of_a_named_network_follow_the_file(timm: ModuleType) -> None:
    peer = timm.create_model("efficientnet_b0", num_classes=3, in_chans=1)
    saved = import_weights(
        peer.state_dict(), "efficientnet_b0", "timm", class_names=("a", "b", "c")
    )
    assert (saved.architecture.num_classes, saved.architecture.in_channels) == (3, 1)
    assert saved.preparation is not None
    assert saved.preparation.class_names == ("a", "b", "c")
    assert saved.preparation.mean == pytest.approx((0.449,))


def test_an_architecture_is_taken_at_its_word_unless_it_shall_fit(timm: ModuleType) -> None:
    tensors = timm.create_model("efficientnet_b0", num_classes=3).state_dict()
    ten = replace(published_network("b0"), num_classes=10)
    with pytest.raises(WeightsError, match=r"2 misshapen: classifier\.weight \[3, 1280\] instead"):
        import_weights(tensors, ten, "timm")
    assert import_weights(tensors, ten, "timm", fit=True).architecture.num_classes == 3


def test_images_are_prepared_as_is_customary_where_the_weights_come_from() -> None:
    assert {layout.resize_to(224) for layout in LAYOUTS.values()} == {256}
    assert LAYOUTS["torchvision"].resize_to(380) == 434
    assert LAYOUTS["timm-tf"].resize_to(380) == 412  # timm's crop_pct of tf_efficientnet_b4: 0.922


def test_networks_are_known_by_their_names_and_by_their_shapes() -> None:
    for spelling in ("efficientnet_b3", "efficientnet-b3", "tf_efficientnet_b3", "b3", "B3"):
        network = published_network(spelling)
        assert network.resolution == 300
        assert published_name(replace(network, num_classes=5, resolution=128)) == "b3"
    assert published_name(replace(published_network("b3"), head=1000)) == ""
    with pytest.raises(ArchitectureError, match=r"network 'efficientnet_b9': need efficientnet_b0"):
        published_network("efficientnet_b9")


def test_safetensors_are_read_as_pytorchs_files_are(peers: dict[str, Made], tmp_path: Path) -> None:
    tensors = stirred(peers["torchvision"](0, num_classes=2)).state_dict()
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pth")
    one, other = (
        import_weights(tmp_path / name, "b0").network.state_dict()
        for name in ("a.safetensors", "a.pth")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
