"""Ours in other layouts: the other library's network then says what ours does, and what comes back
is ours to the last bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from peer_networks import distance, images, logits, stirred
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

CLOSE = 1e-4
SMALL = replace(baseline("efficientnet_b0", width=0.5, depth=0.6), num_classes=5, resolution=64)
FAST = replace(SMALL, stages=(SMALL.stages[0], replace(SMALL.stages[1], stride=3)))

Made = Callable[..., nn.Module]


def ours(architecture: Architecture = SMALL, **options: object) -> Network:
    return stirred(build_model(architecture, **options))


def of_torchvision(network: Network, **norms: float) -> nn.Module:
    """torchvision's network of the same stages."""
    from functools import partial

    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    described = network.architecture
    return EfficientNet(
        [
            MBConvConfig(
                stage.expansion, stage.kernel, stage.stride, inputs, stage.width, stage.repeats
            )
            for inputs, stage in described.transitions()
        ],
        dropout=0.0,
        last_channel=described.head,
        num_classes=described.num_classes,
        norm_layer=partial(nn.BatchNorm2d, **norms),
    ).eval()


def test_a_network_of_any_size_gives_its_logits_in_torchvision(torchvision: ModuleType) -> None:
    network = ours()
    peer = of_torchvision(network, eps=1e-3)
    peer.load_state_dict(to_layout(network, "torchvision"))
    for side in (64, 65):
        assert distance(logits(peer, images(side)), logits(network, images(side))) < CLOSE


@pytest.mark.parametrize(("layout", "padding"), [("timm", "half"), ("timm-tf", "same")])
def test_b0_gives_its_logits_in_timm(layout: str, padding: str, timm: ModuleType) -> None:
    network = ours(replace(baseline("efficientnet_b0"), num_classes=5), padding=padding)
    name = "tf_efficientnet_b0" if padding == "same" else "efficientnet_b0"
    peer = timm.create_model(name, num_classes=5, bn_eps=1e-3).eval()
    peer.load_state_dict(to_layout(network, layout))
    assert distance(logits(peer, images(64)), logits(network, images(64))) < CLOSE


@pytest.mark.parametrize("layout", ["torchvision", "timm", "timm-tf", "lukemelas", "keras"])
def test_what_goes_out_comes_back_to_the_last_bit(layout: str) -> None:
    network = ours(padding=LAYOUTS[layout].padding)
    back = import_weights(to_layout(network, layout), SMALL, layout, norm_eps=1e-3).network
    here, there = network.state_dict(), back.state_dict()
    assert list(here) == list(there)
    for name in here:
        if layout != "keras" or "num_batches" not in name:
            assert torch.equal(here[name], there[name]), name
    assert torch.equal(logits(network, images(64)), logits(back, images(64)))


def test_a_file_in_another_layout_says_how_its_norms_are_built(tmp_path: Path) -> None:
    network = ours(norm_eps=0.002, norm_momentum=0.05)
    path = export_weights(tmp_path / "n.safetensors", network, "torchvision")
    back = verify_exported_weights(path, network)
    assert back.options == network.options
    assert torch.equal(logits(network, images(64)), logits(back, images(64)))


def test_what_reads_back_otherwise_is_not_passed_over(tmp_path: Path) -> None:
    network = ours()
    path = export_weights(tmp_path / "n.safetensors", network, "timm")
    with torch.no_grad():
        network.get_submodule("stages.2.0.expand.conv").weight[0, 0, 0, 0] += 1
    with pytest.raises(ExportError, match=r"differs in stages\.2\.0\.expand\.conv\.weight"):
        verify_exported_weights(path, network)


def test_what_is_exported_shares_no_memory_with_the_network() -> None:
    network = ours()
    before = network.classifier.weight.clone()
    to_layout(network, "timm")["classifier.weight"].zero_()
    assert torch.equal(network.classifier.weight, before)


@pytest.mark.parametrize(
    ("network", "layout", "told"),
    [
        (SMALL, "timm-tf", "got padding half where it has same"),
        (replace(SMALL, stem_stride=1), "torchvision", "got a stem of stride 1"),
        (FAST, "timm", "got a stride of 3 in stage 2 where it has 1 or 2"),
        (replace(SMALL, stem_pool=2), "timm", "got a pool behind the stem"),
        (replace(SMALL, activation="relu"), "torchvision", "got the activation relu"),
        (
            replace(SMALL, stages=(replace(SMALL.stages[0], activation="relu"),)),
            "timm",
            "got an activation of its own in stage 1: relu",
        ),
        (SMALL, "tensorflow", "need one of torchvision, timm"),
    ],
)
def test_a_network_that_the_library_would_build_otherwise_is_refused(
    network: Architecture, layout: str, told: str
) -> None:
    with pytest.raises(ExportError, match=told):
        to_layout(build_model(network), layout)


@pytest.mark.parametrize(
    ("stage", "layout", "told"),
    [
        (
            Stage(1, 16, block="basic", squeeze=0),
            "timm",
            r"stages\.0\.0\..* of a basic block",
        ),
        (Stage(1, 16, expansion=2, block="fused_mbconv"), "torchvision", r"squeeze\.reduce of a"),
        (Stage(1, 16, block="fused_mbconv", squeeze=0), "lukemelas", "of a fused_mbconv-1 block"),
    ],
)
def test_parts_without_a_name_in_the_layout_are_named(stage: Stage, layout: str, told: str) -> None:
    network = build_model(replace(SMALL, stages=(stage,)), padding=LAYOUTS[layout].padding)
    with pytest.raises(WeightsError, match=told):
        to_layout(network, layout)


def test_timm_has_names_for_the_gate_of_a_fused_block(timm: ModuleType) -> None:
    from timm.models._efficientnet_blocks import EdgeResidual, SqueezeExcite

    stage = Stage(1, 16, expansion=2, block="fused_mbconv")
    theirs = to_layout(build_model(replace(SMALL, stages=(stage,))), "timm")
    peer = EdgeResidual(
        SMALL.stem, 16, exp_ratio=2, se_layer=lambda channels, **_: SqueezeExcite(channels, 0.125)
    )
    assert {name.removeprefix("blocks.0.0.") for name in theirs if "blocks" in name} == set(
        peer.state_dict()
    )
