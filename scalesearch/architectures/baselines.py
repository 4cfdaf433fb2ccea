"""Baselines by name: the networks a scaling search starts from."""

import difflib
from collections.abc import Callable

from scalesearch.architectures.scale import scaled
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.errors import ArchitectureError
from scalesearch.scaling import ROUNDINGS, Multipliers


def efficientnet_b0(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: int = 224,
    stem_stride: int = 2,
    in_channels: int = 3,
    num_classes: int = 1000,
) -> Architecture:
    """EfficientNet-B0 (arXiv:1905.11946, table 1), or a small proxy of it.

    ``width`` and ``depth`` are multipliers under the official rounding, ``resolution`` is in
    pixels. ``stem_stride=1`` keeps feature maps alive on inputs as small as 32 pixels.
    """
    full = Architecture(
        stem=32,
        stages=(
            Stage(repeats=1, width=16, kernel=3, stride=1, expansion=1),
            Stage(repeats=2, width=24, kernel=3, stride=2, expansion=6),
            Stage(repeats=2, width=40, kernel=5, stride=2, expansion=6),
            Stage(repeats=3, width=80, kernel=3, stride=2, expansion=6),
            Stage(repeats=3, width=112, kernel=5, stride=1, expansion=6),
            Stage(repeats=4, width=192, kernel=5, stride=2, expansion=6),
            Stage(repeats=1, width=320, kernel=3, stride=1, expansion=6),
        ),
        head=1280,
        resolution=resolution,
        stem_stride=stem_stride,
        in_channels=in_channels,
        num_classes=num_classes,
    )
    return scaled(full, Multipliers(depth=depth, width=width), ROUNDINGS["official"])


BASELINES: dict[str, Callable[..., Architecture]] = {
    "efficientnet_b0": efficientnet_b0,
}
"""Each takes width, depth, resolution, stem_stride, in_channels and num_classes by keyword."""


def baseline(name: str, **options: float) -> Architecture:
    """The baseline of that name. Raises ArchitectureError, naming the known ones, for any other."""
    if name not in BASELINES:
        close = difflib.get_close_matches(name, BASELINES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ArchitectureError(
            f"baseline: unknown name {name!r}; {hint}known are {', '.join(sorted(BASELINES))}"
        )
    try:
        return BASELINES[name](**options)
    except ValueError as error:
        raise ArchitectureError(f"baseline {name}: {error}") from error
