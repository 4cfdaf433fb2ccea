"""Networks of torchvision and timm by name, with the same counts as ours."""

import sys
from types import ModuleType

import pytest
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.errors import ArchitectureError
from scalesearch.models import named as peers
from scalesearch.models.named import NamedNetwork, external_cost, external_network, is_external_name


def test_a_package_and_a_name_are_an_external_name_and_a_file_is_not() -> None:
    assert is_external_name("timm:efficientnet_b0")
    assert is_external_name("torchvision:resnet50")
    assert not is_external_name("family.json:b2")
    assert not is_external_name("timm")


def test_b0_of_both_packages_costs_what_the_closed_form_says(
    torchvision: ModuleType, timm: ModuleType
) -> None:
    for package in ("torchvision", "timm"):
        assert external_cost(external_network(f"{package}:efficientnet_b0")) == cost(
            baseline("efficientnet_b0")
        )


def test_an_external_network_has_the_resolution_of_its_package(
    torchvision: ModuleType, timm: ModuleType
) -> None:
    assert external_network("torchvision:efficientnet_b1").resolution == 240
    assert external_network("timm:tf_efficientnet_b7").resolution == 600
    assert external_network("torchvision:resnet18").resolution == 224


def test_an_external_network_is_built_in_evaluation_mode(torchvision: ModuleType) -> None:
    entry = NamedNetwork("torchvision:resnet18", external_network("torchvision:resnet18"))
    assert not entry.build().training
    assert entry.cost.params == 11_689_512


def test_an_unknown_name_is_refused_with_the_nearest(torchvision: ModuleType) -> None:
    with refused(ArchitectureError):
        external_network("torchvision:resnet5O")


def test_a_failed_import_of_a_package_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with refused(ArchitectureError):
        external_network("timm:efficientnet_b0")


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

    monkeypatch.setattr(peers, "build_external_network", lambda network: Curious())
    found = external_cost(peers.ExternalNetwork("timm", "curious", 8))
    assert (found.macs, found.params, found.activations) == (8 * 8 * 12, 16, 8 * 8 * 4)
