"""Networks that were published with weights, by their names and by their shapes."""

import re
from dataclasses import replace
from functools import cache

from scalesearch.architectures import BASELINES, Architecture, baseline, scale
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.errors import ArchitectureError
from scalesearch.published import PUBLISHED_MODELS
from scalesearch.rounding import ROUNDINGS

EFFICIENTNET_NAMES = tuple(name for name in PUBLISHED_MODELS if re.fullmatch("b[0-7]", name))
"""EfficientNet's b0 to b7."""


def published_network(name: str) -> Architecture:
    """The network of a name as libraries spell it: ``efficientnet_b3``, ``efficientnet-b3``,
    ``tf_efficientnet_b3``, ``b3``, or a baseline's.

    Raises ArchitectureError, saying which there are, for any other.
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
    """``b0`` to ``b7``, ``v2_s``, or nothing for a network that is none of them.

    Whatever its resolution, its classes and the channels of its images.
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
