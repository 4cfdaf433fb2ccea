"""A network as the strings that timm builds its EfficientNets from."""

from collections.abc import Iterator

from scalesearch.architectures import Architecture, Stage, cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.export.standalone.lines import CLASSES
from scalesearch.export.standalone.refusals import by_stage, require_representable
from scalesearch.export.standalone.script import required_name
from scalesearch.nets import Options

ACTIVATIONS = {"silu": "nsw", "relu": "nre", "relu6": "nr6", "hard_swish": "nhs"}
"""In a block's string."""

KINDS = {
    ("mbconv", True): "ir",
    ("mbconv", False): "ds",
    ("fused_mbconv", True): "er",
    ("fused_mbconv", False): "cn",
}
"""timm's blocks, by the kind of ours and whether it expands."""

LARGEST_STRIDE = 32
"""Of the whole network: beyond it timm dilates."""


def timm_script(name: str, architecture: Architecture, options: Options) -> str:
    """The text of a file whose ``network()`` is the same network, built by timm.

    Raises ExportError that names everything that timm's EfficientNet cannot be.
    """
    required_name(name)
    require_representable(name, "timm's EfficientNet", impossible_for_timm(architecture))
    counted, pixels = cost(architecture), architecture.resolution
    channels = architecture.in_channels
    layout = "timm-tf" if options.padding == "same" else "timm"
    strings = [f'    ["{_string(stage, architecture)}"],' for stage in architecture.stages]
    return "\n".join(
        [
            f'"""{name}, built by timm: {counted.params:,} parameters.',
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
            *strings,
            "]",
            "",
            "",
            "def exact(channels: int) -> int:",
            '    """The channels as they stand here; timm makes them multiples of eight."""',
            "    return channels",
            "",
            "",
            "def network() -> EfficientNet:",
            f'    """{name}, with weights as timm begins with them."""',
            "    return EfficientNet(",
            "        decode_arch_def(BLOCKS),",
            f"        num_classes={architecture.num_classes},",
            f"        num_features={architecture.head},",
            f"        in_chans={channels},",
            f"        stem_size={architecture.stem},",
            f"        stem_kernel_size={architecture.stem_kernel},",
            "        fix_stem=True,",
            f"        pad_type={'same' if options.padding == 'same' else ''!r},",
            f"        act_layer={CLASSES[architecture.activation]},",
            f"        norm_layer=partial(nn.BatchNorm2d, eps={options.norm_eps!r}, "
            f"momentum={options.norm_momentum!r}),",
            "        round_chs_fn=exact,",
            f"        drop_rate={options.dropout!r},",
            f"        drop_path_rate={options.drop_connect!r},",
            "    )",
            "",
        ]
    )


def impossible_for_timm(architecture: Architecture) -> Iterator[str]:
    """What timm's EfficientNet cannot be, each with what it is there."""
    fixed = {
        f"a stem with stride {architecture.stem_stride} (there 2)": architecture.stem_stride == 2,
        "a pooled stem (there none)": architecture.stem_pool == 1,
        "a head behind the pooling (there before it)": not architecture.head_pooled,
        f"a stride of {architecture.stride} in all (there at most {LARGEST_STRIDE})": (
            architecture.stride <= LARGEST_STRIDE
        ),
    }
    yield from (told for told, holds in fixed.items() if not holds)
    yield from by_stage(architecture, _of_stage)


def _of_stage(inputs: int, stage: Stage) -> Iterator[str]:
    if stage.block not in ("mbconv", "fused_mbconv"):
        yield f"{stage.block} blocks (there mbconv or fused_mbconv)"
        return
    if stage.stride > 2:
        yield f"a stride of {stage.stride} (there 1 or 2)"
    if stage.block == "fused_mbconv" and stage.expansion == 1 and stage.squeeze:
        yield "a squeeze without expansion in fused_mbconv (there none)"
    for before in {inputs, stage.width} if stage.repeats > 1 else {inputs}:
        inner = before * int(stage.expansion)
        if stage.expansion > 1 and inner != _multiple_of_eight(inner):
            yield f"{inner} inner channels (there {_multiple_of_eight(inner)})"
        elif stage.squeeze:
            squeezed = round(inner * (1 / stage.squeeze / stage.expansion))
            if squeezed != max(1, before // stage.squeeze):
                yield f"{max(1, before // stage.squeeze)} squeezed channels (there {squeezed})"


def _multiple_of_eight(channels: int) -> int:
    """timm's ``make_divisible``."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _string(stage: Stage, architecture: Architecture) -> str:
    kind = KINDS[stage.block, stage.expansion > 1]
    parts = [
        kind,
        f"r{stage.repeats}",
        f"k{stage.kernel}",
        f"s{stage.stride}",
        f"e{stage.expansion}",
        f"c{stage.width}",
    ]
    if stage.squeeze:
        parts.append(f"se{1 / stage.squeeze!r}")
    if kind == "cn":
        parts.append("skip")
    if stage.activation and stage.activation != architecture.activation:
        parts.append(ACTIVATIONS[stage.activation])
    return "_".join(parts)
