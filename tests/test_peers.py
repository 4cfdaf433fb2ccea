"""The peers that networks are compared with are there, whatever torch they were built for."""

from types import ModuleType

import torch


def test_the_networks_of_torchvision_and_timm_run(
    torchvision: ModuleType, timm: ModuleType
) -> None:
    for network in (torchvision.models.mobilenet_v2(), timm.create_model("mobilenetv2_100")):
        with torch.no_grad():
            assert network.eval()(torch.rand(1, 3, 32, 32)).shape == (1, 1000)
