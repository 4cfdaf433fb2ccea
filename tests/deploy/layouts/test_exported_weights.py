"""Weights exported to other layouts: equal logits there, and equal tensors when read back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peer_networks import distance, images, logits, randomised
from refusals import refused
from torch import nn

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.layouts.conversion import (
    export_weights,
    import_weights,
    to_layout,
    verify_exported_weights,
)
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.errors import ExportError, WeightsError
from scalesearch.models.network import Network, build_model

MAX_DISTANCE = 1e-4
SMALL = replace(baseline("efficientnet_b0", width=0.5, depth=0.6), num_classes=5, resolution=64)
STRIDE_3 = replace(SMALL, stages=(SMALL.stages[0], replace(SMALL.stages[1], stride=3)))

NetworkFactory = Callable[..., nn.Module]


def our_network(architecture: Architecture = SMALL, **options: object) -> Network:
    return randomised(build_model(architecture, **options))


def torchvision_network(network: Network, **norms: float) -> nn.Module:
    """Build the network of torchvision with the same stages."""
    from functools import partial

    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    architecture = network.architecture
    return EfficientNet(
        [
            MBConvConfig(
                stage.expansion, stage.kernel, stage.stride, inputs, stage.width, stage.repeats
            )
            for inputs, stage in architecture.transitions()
        ],
        dropout=0.0,
        last_channel=architecture.head,
        num_classes=architecture.num_classes,
        norm_layer=partial(nn.BatchNorm2d, **norms),
    ).eval()


def test_exported_weights_give_the_same_logits_in_torchvision(torchvision: ModuleType) -> None:
    network = our_network()
    peer = torchvision_network(network, eps=1e-3)
    peer.load_state_dict(to_layout(network, "torchvision"))
    for side in (64, 65):
        assert distance(logits(peer, images(side)), logits(network, images(side))) < MAX_DISTANCE


@pytest.mark.parametrize(("layout", "padding"), [("timm", "half"), ("timm-tf", "same")])
def test_exported_weights_of_b0_give_the_same_logits_in_timm(
    layout: str, padding: str, timm: ModuleType
) -> None:
    network = our_network(replace(baseline("efficientnet_b0"), num_classes=5), padding=padding)
    name = "tf_efficientnet_b0" if padding == "same" else "efficientnet_b0"
    peer = timm.create_model(name, num_classes=5, bn_eps=1e-3).eval()
    peer.load_state_dict(to_layout(network, layout))
    assert distance(logits(peer, images(64)), logits(network, images(64))) < MAX_DISTANCE


@pytest.mark.parametrize("layout", ["torchvision", "timm", "timm-tf", "lukemelas", "keras"])
def test_exported_weights_are_imported_to_the_last_bit(layout: str) -> None:
    network = our_network(padding=LAYOUTS[layout].padding)
    restored = import_weights(to_layout(network, layout), SMALL, layout, norm_eps=1e-3).network
    original_tensors, restored_tensors = network.state_dict(), restored.state_dict()
    assert list(original_tensors) == list(restored_tensors)
    for name in original_tensors:
        if layout != "keras" or "num_batches" not in name:
            assert torch.equal(original_tensors[name], restored_tensors[name]), name
    assert torch.equal(logits(network, images(64)), logits(restored, images(64)))


def test_an_exported_file_keeps_the_settings_of_the_norms(tmp_path: Path) -> None:
    network = our_network(norm_eps=0.002, norm_momentum=0.05)
    path = export_weights(tmp_path / "n.safetensors", network, "torchvision")
    restored = verify_exported_weights(path, network)
    assert restored.options == network.options
    assert torch.equal(logits(network, images(64)), logits(restored, images(64)))


def test_verification_finds_a_changed_tensor(tmp_path: Path) -> None:
    network = our_network()
    path = export_weights(tmp_path / "n.safetensors", network, "timm")
    with torch.no_grad():
        network.get_submodule("stages.2.0.expand.conv").weight[0, 0, 0, 0] += 1
    with refused(ExportError):
        verify_exported_weights(path, network)


def test_exported_tensors_share_no_memory_with_the_network() -> None:
    network = our_network()
    before = network.classifier.weight.clone()
    to_layout(network, "timm")["classifier.weight"].zero_()
    assert torch.equal(network.classifier.weight, before)


@pytest.mark.parametrize(
    ("network", "layout"),
    [
        (SMALL, "timm-tf"),
        (replace(SMALL, stem_stride=1), "torchvision"),
        (STRIDE_3, "timm"),
        (replace(SMALL, stem_pool=2), "timm"),
        (replace(SMALL, activation="relu"), "torchvision"),
        (replace(SMALL, stages=(replace(SMALL.stages[0], activation="relu"),)), "timm"),
        (SMALL, "tensorflow"),
    ],
)
def test_a_network_that_the_library_cannot_build_is_refused(
    network: Architecture, layout: str
) -> None:
    with refused(ExportError):
        to_layout(build_model(network), layout)


@pytest.mark.parametrize(
    ("stage", "layout"),
    [
        (Stage(1, 16, block="basic", squeeze=0), "timm"),
        (Stage(1, 16, expansion=2, block="fused_mbconv"), "torchvision"),
        (Stage(1, 16, block="fused_mbconv", squeeze=0), "lukemelas"),
    ],
)
def test_tensors_without_a_name_in_the_layout_are_listed(stage: Stage, layout: str) -> None:
    network = build_model(replace(SMALL, stages=(stage,)), padding=LAYOUTS[layout].padding)
    with refused(WeightsError):
        to_layout(network, layout)


def test_timm_has_names_for_the_gate_of_a_fused_block(timm: ModuleType) -> None:
    from timm.models._efficientnet_blocks import EdgeResidual, SqueezeExcite

    stage = Stage(1, 16, expansion=2, block="fused_mbconv")
    tensors = to_layout(build_model(replace(SMALL, stages=(stage,))), "timm")
    peer = EdgeResidual(
        SMALL.stem, 16, exp_ratio=2, se_layer=lambda channels, **_: SqueezeExcite(channels, 0.125)
    )
    assert {name.removeprefix("blocks.0.0.") for name in tensors if "blocks" in name} == set(
        peer.state_dict()
    )
