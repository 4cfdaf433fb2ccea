"""A network as one readable Python file that needs only torch."""

import ast
import re
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import PREACTIVATION_BLOCKS, Architecture
from scalesearch.data.preparation import Preparation
from scalesearch.deploy.export.standalone.lines import ACTIVATION_CLASSES, block_lines, call_text
from scalesearch.models.network import NetworkOptions, build_model

LINE_WIDTH = 100


def python_script_text(
    name: str,
    architecture: Architecture,
    options: NetworkOptions,
    preparation: Preparation | None = None,
    weights_file: str = "",
) -> str:
    """Return the text of the file. ``weights_file``: name of a weight file beside it.

    Raises ExportError for a network with a block that has no standalone code.
    """
    require_safe_name(name)
    with torch.device("meta"):
        network = build_model(
            architecture, dropout=options.dropout, drop_connect=options.drop_connect
        )
    blocks = list(block_lines(name, network))
    is_same_padded = options.padding == "same"
    convolution = "SamePaddedConvolution" if is_same_padded else "Convolution"
    sections = [
        _header_text(name, architecture, options, preparation, weights_file),
        _part_sources()[convolution],
        *(_part_sources()[part] for part in _required_parts(blocks)),
        _network_class_text(architecture, options, blocks),
        _part_sources()["read_safetensors"],
        _factory_text(name, architecture),
    ]
    text = "\n\n\n".join(sections) + "\n"
    return text.replace("SamePaddedConvolution", "Convolution") if is_same_padded else text


def require_safe_name(name: str) -> str:
    """Return a name that is safe in source code: no text of a file may become code."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"need a name of letters, digits, dots and dashes, got {name!r}")
    return name


# The parts are a text and no module: they would be a second, importable copy of ``models.blocks``.
# Those blocks cannot be copied themselves. They take a Stage and a LayerFactory, and have backward
# passes and convolutions of their own for a CPU, where a standalone file needs plain numbers and
# torch alone. The layers' names are the same in both, because the files load our weights.
_PARTS_FILE = Path(__file__).with_name("parts.txt")
_WRITTEN_APART = {"Convolution", "SamePaddedConvolution", "read_safetensors"}


@cache
def _part_sources() -> dict[str, str]:
    """Return the source of each part by its name; parts that others use come first."""
    text = _PARTS_FILE.read_text(encoding="utf-8")
    definitions = [
        node for node in ast.parse(text).body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    ]
    return {node.name: ast.get_source_segment(text, node) or "" for node in definitions}


def _required_parts(blocks: Sequence[str]) -> list[str]:
    """Return the names of the parts that the lines use, and of those that these use."""
    remaining = ["conv", *(block.partition("(")[0] for block in blocks)]
    required: set[str] = set()
    while remaining:
        part = remaining.pop()
        if part not in required:
            required.add(part)
            nodes = ast.walk(ast.parse(_part_sources()[part]))
            used_names = {node.id for node in nodes if isinstance(node, ast.Name)}
            remaining += used_names.intersection(_part_sources()) - _WRITTEN_APART
    if "MBConv" not in required and not any("squeezed=" in block for block in blocks):
        required.discard("SqueezeExcitation")
    return [part for part in _part_sources() if part in required]


def _header_text(
    name: str,
    architecture: Architecture,
    options: NetworkOptions,
    preparation: Preparation | None,
    weights_file: str,
) -> str:
    network_cost = cost(architecture)
    summary = (
        f"{name}: {network_cost.params:,} parameters, {network_cost.macs:,} multiply-adds at "
        f"{architecture.resolution} pixels. Written by scalesearch; needs torch alone."
    )
    pixels, channels = architecture.resolution, architecture.in_channels
    model = f'network("{weights_file}")' if weights_file else "network()"
    lines = [
        '"""' + textwrap.fill(summary, LINE_WIDTH - 3),
        "",
        f"    model = {model}.eval()",
        f"    logits = model(images)  # (B, {channels}, {pixels}, {pixels}) -> "
        f"(B, {architecture.num_classes})",
        "",
        textwrap.fill(_images_text(preparation, architecture), LINE_WIDTH),
        f"The network's fingerprint is {fingerprint(architecture)}.",
        '"""',
        "",
        "import json",
        "import sys",
        "from collections import OrderedDict",
        "from collections.abc import Callable",
        "",
        "import torch",
        "from torch import Tensor, nn",
        *(["from torch.nn import functional as F"] if options.padding == "same" else []),
        "",
        "Activation = Callable[[], nn.Module]",
        "",
        f"ACTIVATION = {ACTIVATION_CLASSES[architecture.activation]}",
        f"NORM_EPS = {options.norm_eps!r}",
        f"NORM_MOMENTUM = {options.norm_momentum!r}  # the weight of a new batch",
    ]
    if preparation is not None:
        lines += [f"MEAN = {preparation.mean!r}", f"STD = {preparation.std!r}"]
        if preparation.class_names:
            lines += _tuple_lines("CLASSES", preparation.class_names)
    return "\n".join(lines)


def _images_text(preparation: Preparation | None, architecture: Architecture) -> str:
    if preparation is None:
        return f"Images: {architecture.resolution} pixels a side, or any other number."
    window = preparation.view().window(preparation.pixels)
    crop = f", cut {window} pixels from its centre" if window != preparation.stored else ""
    scale = f", resize them to {preparation.pixels}" if window != preparation.pixels else ""
    return (
        f"Images: take the central square, resize it to {preparation.stored} pixels "
        f"({preparation.interpolation}){crop}{scale}, divide by 255, subtract MEAN, divide by STD."
    )


def _tuple_lines(name: str, texts: tuple[str, ...]) -> list[str]:
    """Return a tuple of texts as lines of Python, broken only between the texts."""
    lines = [""]
    for text in texts:
        longer_line = f"{lines[-1]} {text!r},".lstrip()
        if lines[-1] and len(longer_line) > LINE_WIDTH - 4:
            lines.append(f"{text!r},")
        else:
            lines[-1] = longer_line
    return [f"{name} = (", *(f"    {line}" for line in lines), ")"]


def _network_class_text(
    architecture: Architecture, options: NetworkOptions, blocks: list[str]
) -> str:
    stem_text = call_text(
        "conv",
        architecture.in_channels,
        architecture.stem,
        architecture.stem_kernel,
        architecture.stem_stride,
        activation="ACTIVATION",
    )
    pool_text = (
        f"nn.MaxPool2d(3, {architecture.stem_pool}, padding=1)"
        if architecture.stem_pool > 1
        else "nn.Identity()"
    )
    final_text = (
        f"norm({architecture.last_channels})"
        if architecture.stages[-1].block in PREACTIVATION_BLOCKS
        else "nn.Identity()"
    )
    pooled_text = "self.head(x).mean((2, 3))"
    if architecture.head_pooled:
        pooled_text = "self.head(x.mean((2, 3)))"
    return "\n".join(
        [
            "class Network(nn.Module):",
            f"    def __init__(self, dropout: float = {options.dropout!r}, "
            f"drop_connect: float = {options.drop_connect!r}) -> None:",
            "        super().__init__()",
            f"        self.stem = {stem_text}",
            f"        self.stem_pool = {pool_text}",
            "        self.stages = nn.Sequential(",
            *(f"            {line}" for line in _stage_lines(architecture, blocks)),
            "        )",
            f"        self.final = {final_text}",
            f"        self.head = {_head_text(architecture)}",
            "        self.dropout = nn.Dropout(dropout)",
            f"        self.classifier = nn.Linear({architecture.num_features}, "
            f"{architecture.num_classes})",
            "",
            "    def forward(self, images: Tensor) -> Tensor:",
            "        x = self.final(self.stages(self.stem_pool(self.stem(images))))",
            f"        logits: Tensor = self.classifier(self.dropout({pooled_text}))",
            "        return logits",
        ]
    )


def _head_text(architecture: Architecture) -> str:
    last_channels, head_channels = architecture.last_channels, architecture.head
    if not head_channels:
        return "nn.Identity()"
    if architecture.head_pooled:
        linear = f"linear=nn.Linear({last_channels}, {head_channels})"
        return f"nn.Sequential(OrderedDict({linear}, activation=ACTIVATION()))"
    return call_text("conv", last_channels, head_channels, activation="ACTIVATION")


def _stage_lines(architecture: Architecture, blocks: list[str]) -> list[str]:
    lines, remaining = [], list(blocks)
    for number, stage in enumerate(architecture.stages, start=1):
        stage_blocks, remaining = remaining[: stage.repeats], remaining[stage.repeats :]
        lines += [
            f"nn.Sequential(  # stage {number}",
            *(f"    {line}," for line in stage_blocks),
            "),",
        ]
    return lines


def _factory_text(name: str, architecture: Architecture) -> str:
    shape = f"1, {architecture.in_channels}, {architecture.resolution}, {architecture.resolution}"
    return f'''def network(weights: str | None = None) -> Network:
    """{name}, with the weights of a safetensors file where one is named."""
    made = Network()
    if weights is not None:
        made.load_state_dict(read_safetensors(weights))
    return made


if __name__ == "__main__":
    made = network(*sys.argv[1:2]).eval()
    images = torch.zeros({shape})
    print(f"{{sum(one.numel() for one in made.parameters()):,}} parameters")
    print("logits of a black image:", made(images)[0, :5].tolist(), "...")'''
