"""A network as the strings from which timm builds its EfficientNets."""

from collections.abc import Iterator

from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.export.standalone.lines import (
    ACTIVATION_CLASSES,
    reasons_by_stage,
    require_representable,
)
from scalesearch.deploy.export.standalone.script import require_safe_name
from scalesearch.models.network import NetworkOptions

ACTIVATION_CODES = {"silu": "nsw", "relu": "nre", "relu6": "nr6", "hard_swish": "nhs"}
"""Codes of activations in a block's string."""

BLOCK_CODES = {
    ("mbconv", True): "ir",
    ("mbconv", False): "ds",
    ("fused_mbconv", True): "er",
    ("fused_mbconv", False): "cn",
}
"""timm's blocks, by the kind of ours and whether it expands."""

MAX_STRIDE = 32
"""Total stride beyond which timm dilates."""


def timm_script_text(name: str, architecture: Architecture, options: NetworkOptions) -> str:
    """Return the text of a file whose ``network()`` timm builds.

    Raises ExportError that names every feature timm's EfficientNet lacks.
    """
    require_safe_name(name)
    require_representable(name, "timm's EfficientNet", unsupported_by_timm(architecture))
    network_cost, pixels = cost(architecture), architecture.resolution
    channels = architecture.in_channels
    layout = "timm-tf" if options.padding == "same" else "timm"
    block_strings = [
        f'    ["{_block_string(stage, architecture)}"],' for stage in architecture.stages
    ]
    return "\n".join(
        [
            f'"""{name}, built by timm: {network_cost.params:,} parameters.',
            "",
            "    model = network().eval()",
            f"    logits = model(images)  # (B, {channels}, {pixels}, {pixels}) -> "
            f"(B, {architecture.num_classes})",
            "",
            f"Written by scalesearch; `--format timm` writes its weights for it ({layout}). The",
            f"network's fingerprint is {fingerprint(architecture)}.",
            '"""',
            "",
            "from functools import partial",
            "",
            "from timm.models._efficientnet_builder import decode_arch_def",
            "from timm.models.efficientnet import EfficientNet",
            "from torch import nn",
            "",
            "BLOCKS = [",
            "    # kind, repeats, kernel, stride, expansion, channels, squeeze",
            *block_strings,
            "]",
            "",
            "",
            "def exact(channels: int) -> int:",
            '    """The channels as they stand here; timm makes them multiples of eight."""',
            "    return channels",
            "",
            "",
            *_factory_lines(name, architecture, options),
        ]
    )


def _factory_lines(name: str, architecture: Architecture, options: NetworkOptions) -> list[str]:
    return [
        "def network() -> EfficientNet:",
        f'    """{name}, with weights as timm begins with them."""',
        "    return EfficientNet(",
        "        decode_arch_def(BLOCKS),",
        f"        num_classes={architecture.num_classes},",
        f"        num_features={architecture.head},",
        f"        in_chans={architecture.in_channels},",
        f"        stem_size={architecture.stem},",
        f"        stem_kernel_size={architecture.stem_kernel},",
        "        fix_stem=True,",
        f"        pad_type={'same' if options.padding == 'same' else ''!r},",
        f"        act_layer={ACTIVATION_CLASSES[architecture.activation]},",
        f"        norm_layer=partial(nn.BatchNorm2d, eps={options.norm_eps!r}, "
        f"momentum={options.norm_momentum!r}),",
        "        round_chs_fn=exact,",
        f"        drop_rate={options.dropout!r},",
        f"        drop_path_rate={options.drop_connect!r},",
        "    )",
        "",
    ]


def unsupported_by_timm(architecture: Architecture) -> Iterator[str]:
    """Return the features that timm's EfficientNet lacks, with their values there."""
    support_by_reason = {
        f"a stem with stride {architecture.stem_stride} (there 2)": architecture.stem_stride == 2,
        "a pooled stem (there none)": architecture.stem_pool == 1,
        "a head behind the pooling (there before it)": not architecture.head_pooled,
        f"a stride of {architecture.total_stride} in all (there at most {MAX_STRIDE})": (
            architecture.total_stride <= MAX_STRIDE
        ),
    }
    yield from (reason for reason, is_supported in support_by_reason.items() if not is_supported)
    yield from reasons_by_stage(architecture, _unsupported_in_stage)


def _unsupported_in_stage(inputs: int, stage: Stage) -> Iterator[str]:
    if stage.block not in ("mbconv", "fused_mbconv"):
        yield f"{stage.block} blocks (there mbconv or fused_mbconv)"
        return
    if stage.stride > 2:
        yield f"a stride of {stage.stride} (there 1 or 2)"
    if stage.block == "fused_mbconv" and stage.expansion == 1 and stage.squeeze:
        yield "a squeeze without expansion in fused_mbconv (there none)"
    for input_channels in {inputs, stage.width} if stage.repeats > 1 else {inputs}:
        inner_channels = input_channels * int(stage.expansion)
        if stage.expansion > 1 and inner_channels != _multiple_of_eight(inner_channels):
            yield f"{inner_channels} inner channels (there {_multiple_of_eight(inner_channels)})"
        elif stage.squeeze:
            squeezed_channels = round(inner_channels * (1 / stage.squeeze / stage.expansion))
            ours = max(1, input_channels // stage.squeeze)
            if squeezed_channels != ours:
                yield f"{ours} squeezed channels (there {squeezed_channels})"


def _multiple_of_eight(channels: int) -> int:
    """timm's ``make_divisible``."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _block_string(stage: Stage, architecture: Architecture) -> str:
    kind = BLOCK_CODES[stage.block, stage.expansion > 1]
    code_parts = [
        kind,
        f"r{stage.repeats}",
        f"k{stage.kernel}",
        f"s{stage.stride}",
        f"e{stage.expansion}",
        f"c{stage.width}",
    ]
    if stage.squeeze:
        code_parts.append(f"se{1 / stage.squeeze!r}")
    if kind == "cn":
        code_parts.append("skip")
    if stage.activation and stage.activation != architecture.activation:
        code_parts.append(ACTIVATION_CODES[stage.activation])
    return "_".join(code_parts)
