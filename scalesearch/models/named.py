"""Networks by name: published ones, and those of torchvision and timm."""

import importlib
import re
from dataclasses import asdict, dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.architectures.totals import Cost
from scalesearch.errors import ArchitectureError
from scalesearch.models.counting import count_forward
from scalesearch.models.custom_model import build_custom_model
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import NetworkOptions, build_model
from scalesearch.scaling.published import PUBLISHED_MODELS
from scalesearch.scaling.rounding import ROUNDINGS

EFFICIENTNET_NAMES = tuple(name for name in PUBLISHED_MODELS if re.fullmatch("b[0-7]", name))
"""EfficientNet's b0 to b7."""


def published_network(name: str) -> Architecture:
    """Network by a name as libraries spell it.

    Examples: ``efficientnet_b3``, ``efficientnet-b3``, ``tf_efficientnet_b3``, ``b3``, or a
    baseline's name. Raises ArchitectureError that lists the names for any other.
    """
    match = re.fullmatch(r"((tf_)?efficientnet[-_]?)?(b[0-7])", name, re.IGNORECASE)
    if match:
        return _efficientnet(match[3].lower())
    if name in BASELINES:
        return baseline(name)
    raise ArchitectureError(
        f"network {name!r}: need efficientnet_b0 to efficientnet_b7 or a baseline of "
        f"{', '.join(sorted(BASELINES))}, or the YAML file of a network's stages"
    )


def published_name(architecture: Architecture) -> str:
    """Name ``b0`` to ``b7`` or ``v2_s`` of an architecture; empty for other networks.

    Resolution, classes and input channels do not matter.
    """
    return _published_names().get(_body_fingerprint(architecture), "")


@cache
def _efficientnet(name: str) -> Architecture:
    model = PUBLISHED_MODELS[name]
    network = scale(baseline("efficientnet_b0"), model.multipliers, ROUNDINGS["official"])
    return replace(network, resolution=model.resolution)


@cache
def _published_names() -> dict[str, str]:
    members = {_body_fingerprint(_efficientnet(name)): name for name in EFFICIENTNET_NAMES}
    return members | {_body_fingerprint(baseline("efficientnetv2_s")): "v2_s"}


def _body_fingerprint(architecture: Architecture) -> str:
    return fingerprint(replace(architecture, resolution=1, num_classes=1, in_channels=1))


EXTERNAL_PACKAGES = ("torchvision", "timm")


@dataclass(frozen=True, slots=True)
class ExternalNetwork:
    """A network of another package, at the package's own resolution."""

    package: str
    name: str
    resolution: int
    in_channels: int = 3


def is_external_name(text: str) -> bool:
    """Return whether a text has the form ``torchvision:NAME`` or ``timm:NAME``."""
    return text.partition(":")[0] in EXTERNAL_PACKAGES and ":" in text


def external_network(text: str) -> ExternalNetwork:
    """Network of ``torchvision:NAME`` or ``timm:NAME``, without its weights.

    Raises ArchitectureError if the package cannot be imported or has no such network.
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
    from scalesearch.config.validation import suggestion

    raise ArchitectureError(f"{text}: {package} has no such network; {suggestion(name, names)}")


def build_external_network(network: ExternalNetwork) -> nn.Module:
    """Build the network with the initial weights of its package."""
    return _create_model(network.package, network.name)


@cache
def external_cost(network: ExternalNetwork) -> Cost:
    """Cost counted on one image: torch's flop counter, and outputs of layers.

    Equal to the closed form for a network that both know.
    """
    try:
        with torch.device("meta"):
            module = build_external_network(network)
    except (NotImplementedError, RuntimeError):  # code that reads a tensor's values
        module = build_external_network(network).to("meta")
    params = sum(parameter.numel() for parameter in module.parameters())
    try:
        count = count_forward(module, network.in_channels, network.resolution, "meta")
    except (NotImplementedError, RuntimeError):
        count = count_forward(
            build_external_network(network), network.in_channels, network.resolution, "cpu"
        )
    return Cost(count.macs, params, count.activations)


def _create_model(package: str, name: str) -> nn.Module:
    module = _import_package(package, f"{package}:{name}")
    if package == "timm":
        return module.create_model(name, pretrained=False)  # type: ignore[no-any-return]
    return module.models.get_model(name, weights=None)  # type: ignore[no-any-return]


def _import_package(name: str, where: str) -> ModuleType:
    """Import a package; raise ArchitectureError if missing or for another torch."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a compiled part that does not fit fails in many ways
        raise ArchitectureError(
            f"{where}: needs the package {name}, which cannot be imported "
            f"({type(error).__name__}: {error}); install it, with a torchvision built for torch "
            f"{torch.__version__}, or leave this network out"
        ) from error


def _torchvision_resolution(module: ModuleType, name: str) -> int:
    """Pixels that the package's own weights are evaluated at; 224 if it has none."""
    weights = list(module.models.get_model_weights(name))
    preset = weights[-1].transforms if weights else None
    return int(getattr(preset, "keywords", {}).get("crop_size", 224))


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """A network under its name.

    ``options``: settings in a file that the architecture does not define; None for the usual ones.
    """

    name: str
    network: Architecture | CustomModel | ExternalNetwork
    options: NetworkOptions | None = None

    @property
    def resolution(self) -> int:
        """Side of the input in pixels."""
        return self.network.resolution

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.network.in_channels

    @property
    def cost(self) -> Cost:
        """Multiply-adds, parameters and activations of one image.

        A custom model is built and counted, which raises ArchitectureError unless code may run.
        """
        return (
            external_cost(self.network)
            if isinstance(self.network, ExternalNetwork)
            else cost(self.network)
        )

    def build(self) -> nn.Module:
        """Build the network on the CPU, in evaluation mode, with untrained weights.

        Their signals avoid denormal numbers, which are slow.
        """
        if isinstance(self.network, ExternalNetwork):
            return build_external_network(self.network).eval()
        if isinstance(self.network, CustomModel):
            return build_custom_model(self.network, seed=0).eval()
        with torch.device("meta"):
            network = build_model(self.network, **asdict(self.options or NetworkOptions()))
        network.to_empty(device="cpu")
        initialise(network, torch.Generator().manual_seed(0))
        return network.eval()
