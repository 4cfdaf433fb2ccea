"""Networks of torchvision and timm by name, counted beside ours."""

import sys
from types import ModuleType

import pytest

from scalesearch.architectures import baseline, cost
from scalesearch.errors import ArchitectureError
from scalesearch.nets import Entry, peers
from scalesearch.nets.peers import names_peer, peer, peer_cost


def test_a_package_and_a_name_are_a_peer_and_a_members_file_is_none() -> None:
    assert names_peer("timm:efficientnet_b0")
    assert names_peer("torchvision:resnet50")
    assert not names_peer("family.json:b2")
    assert not names_peer("timm")


def test_b0_of_both_packages_costs_what_the_closed_form_says(
    torchvision: ModuleType, timm: ModuleType
) -> None:
    for package in ("torchvision", "timm"):
        assert peer_cost(peer(f"{package}:efficientnet_b0")) == cost(baseline("efficientnet_b0"))


def test_a_peer_has_the_pixels_that_its_package_evaluates_it_at(
    torchvision: ModuleType, timm: ModuleType
) -> None:
    assert peer("torchvision:efficientnet_b1").resolution == 240
    assert peer("timm:tf_efficientnet_b7").resolution == 600
    assert peer("torchvision:resnet18").resolution == 224


def test_a_peer_is_made_in_evaluation_mode(torchvision: ModuleType) -> None:
    entry = Entry("torchvision:resnet18", peer("torchvision:resnet18"))
    assert not entry.made().training
    assert entry.cost.params == 11_689_512


def test_an_unknown_name_is_refused_with_the_nearest(torchvision: ModuleType) -> None:
    with pytest.raises(ArchitectureError, match="no such network; did you mean 'resnet50'"):
        peer("torchvision:resnet5O")


def test_a_package_that_cannot_be_imported_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ArchitectureError, match="needs the package timm, which cannot be imported"):
        peer("timm:efficientnet_b0")


def test_code_that_needs_values_is_counted_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
            if x_BCHW.sum().item() > 1:
                return x_BCHW
            return self.conv(x_BCHW)

    monkeypatch.setattr(peers, "made_by_peer", lambda network: Curious())
    found = peer_cost(peers.Peer("timm", "curious", 8))
    assert (found.macs, found.params, found.activations) == (8 * 8 * 12, 16, 8 * 8 * 4)
