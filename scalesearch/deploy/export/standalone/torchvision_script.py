"""A network as the configuration from which torchvision builds its EfficientNets."""

from collections.abc import Iterator

from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.export.standalone.lines import reasons_by_stage, require_representable
from scalesearch.deploy.export.standalone.script import require_safe_name
from scalesearch.models.network import NetworkOptions

CONFIG_CLASSES = {"mbconv": "MBConvConfig", "fused_mbconv": "FusedMBConvConfig"}
"""torchvision's classes, by the kind of a block."""

SQUEEZE_DIVISORS = {"mbconv": 4, "fused_mbconv": 0}
"""Divisors of the input channels for the squeeze in torchvision's blocks, or 0."""

CHANNEL_MULTIPLE = 8
"""torchvision's channels are multiples of this number."""


def torchvision_script_text(name: str, architecture: Architecture, options: NetworkOptions) -> str:
    """Return the text of a file whose ``network()`` torchvision builds.

    Raises ExportError that names every feature torchvision's EfficientNet lacks.
    """
    require_safe_name(name)
    reasons = unsupported_by_torchvision(architecture, options)
    require_representable(name, "torchvision's EfficientNet", reasons)
    used_kinds = [
        kind for kind in CONFIG_CLASSES if any(s.block == kind for s in architecture.stages)
    ]
    needs_exact = any(width % CHANNEL_MULTIPLE for width in architecture.widths[:-1])
    config_names = {
        kind: ("Exact" if needs_exact else "") + CONFIG_CLASSES[kind] for kind in used_kinds
    }
    imported_names = ", ".join(
        sorted(["EfficientNet", *(CONFIG_CLASSES[kind] for kind in used_kinds)])
    )
    sections = [
        _header_text(name, architecture, imported_names),
        *(_exact_config_text(CONFIG_CLASSES[kind]) for kind in used_kinds if needs_exact),
        "\n".join(
            [
                "SETTINGS = [",
                "    # expand ratio, kernel, stride, input channels, output channels, layers",
                *(
                    f"    {config_names[stage.block]}({_config_arguments(inputs, stage)}),"
                    for inputs, stage in architecture.transitions()
                ),
                "]",
            ]
        ),
        _factory_text(name, architecture, options),
    ]
    return "\n\n\n".join(sections) + "\n"


def unsupported_by_torchvision(
    architecture: Architecture, options: NetworkOptions
) -> Iterator[str]:
    """Return the features that torchvision's EfficientNet lacks."""
    support_by_reason = {
        f"images of {architecture.in_channels} channels (there 3)": architecture.in_channels == 3,
        f"a stem with stride {architecture.stem_stride} (there 2)": architecture.stem_stride == 2,
        f"a stem with kernel {architecture.stem_kernel} (there 3)": architecture.stem_kernel == 3,
        "a pooled stem (there none)": architecture.stem_pool == 1,
        "no head (there a 1x1 convolution)": architecture.head > 0,
        "a head behind the pooling (there before it)": not architecture.head_pooled,
        f"the activation {architecture.activation} (there silu)": architecture.activation == "silu",
        "TensorFlow's SAME padding (there half the kernel)": options.padding == "half",
    }
    yield from (reason for reason, is_supported in support_by_reason.items() if not is_supported)
    yield from reasons_by_stage(architecture, _unsupported_in_stage)


def _unsupported_in_stage(_: int, stage: Stage) -> Iterator[str]:
    if stage.block not in CONFIG_CLASSES:
        yield f"{stage.block} blocks (there {' or '.join(CONFIG_CLASSES)})"
        return
    if stage.squeeze != SQUEEZE_DIVISORS[stage.block]:
        library_squeeze = SQUEEZE_DIVISORS[stage.block] or "none"
        yield f"a squeeze of {stage.squeeze or 'none'} in {stage.block} (there {library_squeeze})"
    if stage.stride > 2:
        yield f"a stride of {stage.stride} (there 1 or 2)"
    if stage.activation not in ("", "silu"):
        yield f"the activation {stage.activation} (there silu)"


def _config_arguments(inputs: int, stage: Stage) -> str:
    numbers = (stage.expansion, stage.kernel, stage.stride, inputs, stage.width, stage.repeats)
    return ", ".join(f"{number:g}" for number in numbers)


def _header_text(name: str, architecture: Architecture, imported_names: str) -> str:
    pixels, network_cost = architecture.resolution, cost(architecture)
    return f'''"""{name}, built by torchvision: {network_cost.params:,} parameters.

    model = network().eval()
    logits = model(images)  # (B, 3, {pixels}, {pixels}) -> (B, {architecture.num_classes})

Written by scalesearch; `--format torchvision` writes its weights for it. The network's fingerprint
is {fingerprint(architecture)}.
"""

from functools import partial

from torch import nn
from torchvision.models.efficientnet import {imported_names}'''


def _exact_config_text(config_class: str) -> str:
    return f'''class Exact{config_class}({config_class}):
    """With the channels as they stand here; torchvision makes them multiples of eight."""

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        return int(channels * width_mult)'''


def _factory_text(name: str, architecture: Architecture, options: NetworkOptions) -> str:
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
