"""Networks that torchvision and timm know by name, where these packages can be imported."""

import importlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scalesearch.architectures.cost import Cost
from scalesearch.errors import ArchitectureError
from scalesearch.nets.counting import count_forward

EXTERNAL_PACKAGES = ("torchvision", "timm")


@dataclass(frozen=True, slots=True)
class ExternalNetwork:
    """A network of another package, at the resolution that the package evaluates it at."""

    package: str
    name: str
    resolution: int
    in_channels: int = 3


def is_external_name(text: str) -> bool:
    """Whether a text has the form ``torchvision:NAME`` or ``timm:NAME``."""
    return text.partition(":")[0] in EXTERNAL_PACKAGES and ":" in text


def external_network(text: str) -> ExternalNetwork:
    """The network that ``torchvision:NAME`` or ``timm:NAME`` names; no weights are fetched.

    Raises ArchitectureError where the package cannot be imported or has no such network.
    """
    package, _, name = text.partition(":")
    module = _import_package(package, text)
    if package == "timm":
        names: Any = module.list_models()
        if name in names:
            channels, _, resolution = module.get_pretrained_cfg(name).input_size
            return ExternalNetwork(package, name, resolution, channels)
    else:
        names = module.models.list_models(module=module.models)
        if name in names:
            return ExternalNetwork(package, name, _torchvision_resolution(module, name))
    from scalesearch.validation import suggestion

    raise ArchitectureError(f"{text}: {package} has no such network; {suggestion(name, names)}")


def build_external_network(network: ExternalNetwork) -> nn.Module:
    """The network, with the weights that its package begins with."""
    return _create_model(network.package, network.name)


@cache
def external_cost(network: ExternalNetwork) -> Cost:
    """Counted: what torch's counter tells of one image, and the outputs of convolutions and linear
    layers. Equal to the closed form for a network that both know."""
    try:
        with torch.device("meta"):
            module = build_external_network(network)
    except (NotImplementedError, RuntimeError):  # code that reads a tensor's values
        module = build_external_network(network).to("meta")
    params = sum(parameter.numel() for parameter in module.parameters())
    try:
        count = count_forward(module, network.in_channels, network.resolution, "meta")
    except (NotImplementedError, RuntimeError):
        count = count_forward(build_external_network(network), network.in_channels, network.resolution, "cpu")
    return Cost(count.macs, params, count.activations)


def _create_model(package: str, name: str) -> nn.Module:
    module = _import_package(package, f"{package}:{name}")
    if package == "timm":
        return module.create_model(name, pretrained=False)  # type: ignore[no-any-return]
    return module.models.get_model(name, weights=None)  # type: ignore[no-any-return]


def _import_package(name: str, where: str) -> ModuleType:
    """Raises ArchitectureError where it is missing, or was built for another torch."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a compiled part that does not fit fails in many ways
        raise ArchitectureError(
            f"{where}: needs the package {name}, which cannot be imported here "
            f"({type(error).__name__}: {error}); install it, with a torchvision built for torch "
            f"{torch.__version__}, or leave this network out"
        ) from error


def _torchvision_resolution(module: ModuleType, name: str) -> int:
    """Pixels that the package's own weights are evaluated at; 224 where it has none."""
    weights = list(module.models.get_model_weights(name))
    preset = weights[-1].transforms if weights else None
    return int(getattr(preset, "keywords", {}).get("crop_size", 224))
