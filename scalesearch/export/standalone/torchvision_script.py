"""A network as the configuration that torchvision builds its EfficientNets from."""

from collections.abc import Iterator

from scalesearch.architectures import Architecture, Stage, cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.export.standalone.refusals import by_stage, require_representable
from scalesearch.export.standalone.script import required_name
from scalesearch.nets import Options

CONFIGURATIONS = {"mbconv": "MBConvConfig", "fused_mbconv": "FusedMBConvConfig"}
"""torchvision's, by the kind of a block."""

SQUEEZES = {"mbconv": 4, "fused_mbconv": 0}
"""What torchvision's blocks divide their input channels by, or 0."""

ROUNDED = 8
"""Channels that torchvision makes its own multiples of."""


def torchvision_script(name: str, architecture: Architecture, options: Options) -> str:
    """The text of a file whose ``network()`` is the same network, built by torchvision.

    Raises ExportError that names everything that torchvision's EfficientNet cannot be.
    """
    required_name(name)
    reasons = impossible_for_torchvision(architecture, options)
    require_representable(name, "torchvision's EfficientNet", reasons)
    used = [kind for kind in CONFIGURATIONS if any(s.block == kind for s in architecture.stages)]
    exact = any(width % ROUNDED for width in architecture.widths[:-1])
    names = {kind: ("Exact" if exact else "") + CONFIGURATIONS[kind] for kind in used}
    imported = ", ".join(sorted(["EfficientNet", *(CONFIGURATIONS[kind] for kind in used)]))
    parts = [
        _head(name, architecture, imported),
        *(_exact(CONFIGURATIONS[kind]) for kind in used if exact),
        "\n".join(
            [
                "SETTINGS = [",
                "    # expand ratio, kernel, stride, input channels, output channels, layers",
                *(
                    f"    {names[stage.block]}({_numbers(inputs, stage)}),"
                    for inputs, stage in architecture.transitions()
                ),
                "]",
            ]
        ),
        _end(name, architecture, options),
    ]
    return "\n\n\n".join(parts) + "\n"


def impossible_for_torchvision(architecture: Architecture, options: Options) -> Iterator[str]:
    """What torchvision's EfficientNet cannot be, each with what it is there."""
    fixed = {
        f"images of {architecture.in_channels} channels (there 3)": architecture.in_channels == 3,
        f"a stem with stride {architecture.stem_stride} (there 2)": architecture.stem_stride == 2,
        f"a stem with kernel {architecture.stem_kernel} (there 3)": architecture.stem_kernel == 3,
        "a pooled stem (there none)": architecture.stem_pool == 1,
        "no head (there a 1x1 convolution)": architecture.head > 0,
        "a head behind the pooling (there before it)": not architecture.head_pooled,
        f"the activation {architecture.activation} (there silu)": architecture.activation == "silu",
        "TensorFlow's SAME padding (there half the kernel)": options.padding == "half",
    }
    yield from (told for told, holds in fixed.items() if not holds)
    yield from by_stage(architecture, _of_stage)


def _of_stage(_: int, stage: Stage) -> Iterator[str]:
    if stage.block not in CONFIGURATIONS:
        yield f"{stage.block} blocks (there {' or '.join(CONFIGURATIONS)})"
        return
    if stage.squeeze != SQUEEZES[stage.block]:
        there = SQUEEZES[stage.block] or "none"
        yield f"a squeeze of {stage.squeeze or 'none'} in {stage.block} (there {there})"
    if stage.stride > 2:
        yield f"a stride of {stage.stride} (there 1 or 2)"
    if stage.activation not in ("", "silu"):
        yield f"the activation {stage.activation} (there silu)"


def _numbers(inputs: int, stage: Stage) -> str:
    numbers = (stage.expansion, stage.kernel, stage.stride, inputs, stage.width, stage.repeats)
    return ", ".join(f"{number:g}" for number in numbers)


def _head(name: str, architecture: Architecture, imported: str) -> str:
    pixels, counted = architecture.resolution, cost(architecture)
    return f'''"""{name}, built by torchvision: {counted.params:,} parameters.

    model = network().eval()
    logits = model(images)  # (B, 3, {pixels}, {pixels}) -> (B, {architecture.num_classes})

Written by scalesearch; `--format torchvision` writes its weights for it. The network's fingerprint
is {fingerprint(architecture)}.
"""

from functools import partial

from torch import nn
from torchvision.models.efficientnet import {imported}'''


def _exact(configuration: str) -> str:
    return f'''class Exact{configuration}({configuration}):
    """With the channels as they stand here; torchvision makes them multiples of eight."""

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        return int(channels * width_mult)'''


def _end(name: str, architecture: Architecture, options: Options) -> str:
    return f'''def network() -> EfficientNet:
    """{name}, with weights as torchvision begins with them."""
    return EfficientNet(
        SETTINGS,
        dropout={options.dropout!r},
        stochastic_depth_prob={options.drop_connect!r},
        num_classes={architecture.num_classes},
        norm_layer=partial(
            nn.BatchNorm2d, eps={options.norm_eps!r}, momentum={options.norm_momentum!r}
        ),
        last_channel={architecture.head},
    )'''
