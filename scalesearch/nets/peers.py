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
from scalesearch.nets.counting import passed

PACKAGES = ("torchvision", "timm")


@dataclass(frozen=True, slots=True)
class Peer:
    """A network of another package, at the resolution that the package evaluates it at."""

    package: str
    name: str
    resolution: int
    in_channels: int = 3


def names_peer(text: str) -> bool:
    """Whether a text has the form ``torchvision:NAME`` or ``timm:NAME``."""
    return text.partition(":")[0] in PACKAGES and ":" in text


def peer(text: str) -> Peer:
    """The network that ``torchvision:NAME`` or ``timm:NAME`` names; no weights are fetched.

    Raises ArchitectureError where the package cannot be imported or has no such network.
    """
    package, _, name = text.partition(":")
    module = _package(package, text)
    if package == "timm":
        known: Any = module.list_models()
        if name in known:
            channels, _, side = module.get_pretrained_cfg(name).input_size
            return Peer(package, name, side, channels)
    else:
        known = module.models.list_models(module=module.models)
        if name in known:
            return Peer(package, name, _torchvisions_side(module, name))
    from scalesearch.validation import hint

    raise ArchitectureError(f"{text}: {package} has no such network; {hint(name, known)}")


def made_by_peer(network: Peer) -> nn.Module:
    """The network, with the weights that its package begins with."""
    return _model(network.package, network.name)


@cache
def peer_cost(network: Peer) -> Cost:
    """Counted: what torch's counter tells of one image, and the outputs of convolutions and linear
    layers. Equal to the closed form for a network that both know."""
    try:
        with torch.device("meta"):
            module = made_by_peer(network)
    except (NotImplementedError, RuntimeError):  # code that reads a tensor's values
        module = made_by_peer(network).to("meta")
    params = sum(parameter.numel() for parameter in module.parameters())
    try:
        seen = passed(module, network.in_channels, network.resolution, "meta")
    except (NotImplementedError, RuntimeError):
        seen = passed(made_by_peer(network), network.in_channels, network.resolution, "cpu")
    return Cost(seen.macs, params, seen.activations)


def _model(package: str, name: str) -> nn.Module:
    module = _package(package, f"{package}:{name}")
    if package == "timm":
        return module.create_model(name, pretrained=False)  # type: ignore[no-any-return]
    return module.models.get_model(name, weights=None)  # type: ignore[no-any-return]


def _package(name: str, where: str) -> ModuleType:
    """Raises ArchitectureError where it is missing, or was built for another torch."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a compiled part that does not fit fails in many ways
        raise ArchitectureError(
            f"{where}: needs the package {name}, which cannot be imported here "
            f"({type(error).__name__}: {error}); install it, with a torchvision built for torch "
            f"{torch.__version__}, or leave this network out"
        ) from error


def _torchvisions_side(module: ModuleType, name: str) -> int:
    """Pixels that the package's own weights are evaluated at; 224 where it has none."""
    weights = list(module.models.get_model_weights(name))
    preset = weights[-1].transforms if weights else None
    return int(getattr(preset, "keywords", {}).get("crop_size", 224))
