"""A network as one readable Python file that needs torch alone."""

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import torch

from scalesearch.architectures import Architecture, cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import PREACTIVATED
from scalesearch.export.standalone import dense_parts, parts
from scalesearch.export.standalone.lines import CLASSES, block_lines, call
from scalesearch.nets import Options, build
from scalesearch.weights import Preparation

WIDTH = 100


def script(
    name: str,
    architecture: Architecture,
    options: Options,
    preparation: Preparation | None = None,
    weights: str = "",
) -> str:
    """The text of the file. ``weights``: the name of a file of weights that lies beside it.

    Raises ExportError for a network with a block that such files know no code for.
    """
    required_name(name)
    with torch.device("meta"):
        network = build(architecture, dropout=options.dropout, drop_connect=options.drop_connect)
    blocks = list(block_lines(name, network))
    needs = dict.fromkeys(part for block in blocks for part in block.needs)
    same = options.padding == "same"
    used = [
        parts.SamePaddedConvolution if same else parts.Convolution,
        parts.conv,
        *(part for part in _ORDER if part in needs),
    ]
    sections = [
        _head(name, architecture, options, preparation, weights),
        *(_source(part) for part in used),
        _network(architecture, options, [block.text for block in blocks]),
        _source(parts.read_safetensors),
        _end(name, architecture),
    ]
    text = "\n\n\n".join(sections) + "\n"
    return text.replace("SamePaddedConvolution", "Convolution") if same else text


def required_name(name: str) -> str:
    """A name that may stand in source code: whatever a file says must not become code there."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"need a name of letters, digits, dots and dashes, got {name!r}")
    return name


_ORDER = (
    parts.DropConnect,
    parts.SqueezeExcitation,
    parts.MBConv,
    parts.bneck,
    parts.FusedMBConv,
    parts.Separable,
    parts.Shortened,
    parts.basic,
    parts.bottleneck,
    dense_parts.norm,
    dense_parts.Dense,
    dense_parts.Transition,
)
"""In which parts stand in a file: what others use comes first."""


def _source(part: Callable[..., Any]) -> str:
    return inspect.getsource(part).rstrip()


def _head(
    name: str,
    architecture: Architecture,
    options: Options,
    preparation: Preparation | None,
    weights: str,
) -> str:
    counted = cost(architecture)
    told = (
        f"{name}: {counted.params:,} parameters, {counted.macs:,} multiply-adds at "
        f"{architecture.resolution} pixels. Written by scalesearch; needs torch alone."
    )
    pixels, channels = architecture.resolution, architecture.in_channels
    model = f'network("{weights}")' if weights else "network()"
    lines = [
        '"""' + textwrap.fill(told, WIDTH - 3),
        "",
        f"    model = {model}.eval()",
        f"    logits = model(images)  # (B, {channels}, {pixels}, {pixels}) -> "
        f"(B, {architecture.num_classes})",
        "",
        textwrap.fill(_images(preparation, architecture), WIDTH),
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
        f"ACTIVATION = {CLASSES[architecture.activation]}",
        f"NORM_EPS = {options.norm_eps!r}",
        f"NORM_MOMENTUM = {options.norm_momentum!r}  # the weight of a new batch",
    ]
    if preparation is not None:
        lines += [f"MEAN = {preparation.mean!r}", f"STD = {preparation.std!r}"]
        if preparation.class_names:
            lines += _literal("CLASSES", preparation.class_names)
    return "\n".join(lines)


def _images(preparation: Preparation | None, architecture: Architecture) -> str:
    if preparation is None:
        return f"Images: {architecture.resolution} pixels a side, or any other number."
    shown = preparation.view().window(preparation.pixels)
    crop = f", cut {shown} pixels from its centre" if shown != preparation.stored else ""
    scale = f", resize them to {preparation.pixels}" if shown != preparation.pixels else ""
    return (
        f"Images: take the central square, resize it to {preparation.stored} pixels "
        f"({preparation.interpolation}){crop}{scale}, divide by 255, subtract MEAN, divide by STD."
    )


def _literal(name: str, texts: tuple[str, ...]) -> list[str]:
    """A tuple of texts as lines of Python, which break between the texts alone."""
    lines = [""]
    for text in texts:
        longer = f"{lines[-1]} {text!r},".lstrip()
        if lines[-1] and len(longer) > WIDTH - 4:
            lines.append(f"{text!r},")
        else:
            lines[-1] = longer
    return [f"{name} = (", *(f"    {line}" for line in lines), ")"]


def _network(architecture: Architecture, options: Options, blocks: list[str]) -> str:
    stem = call(
        "conv",
        architecture.in_channels,
        architecture.stem,
        architecture.stem_kernel,
        architecture.stem_stride,
        activation="ACTIVATION",
    )
    pool = (
        f"nn.MaxPool2d(3, {architecture.stem_pool}, padding=1)"
        if architecture.stem_pool > 1
        else "nn.Identity()"
    )
    last, head = architecture.last, architecture.head
    final = f"norm({last})" if architecture.stages[-1].block in PREACTIVATED else "nn.Identity()"
    if not head:
        made = "nn.Identity()"
    elif architecture.head_pooled:
        linear = f"linear=nn.Linear({last}, {head})"
        made = f"nn.Sequential(OrderedDict({linear}, activation=ACTIVATION()))"
    else:
        made = call("conv", last, head, activation="ACTIVATION")
    stages, rest = [], list(blocks)
    for number, stage in enumerate(architecture.stages, start=1):
        mine, rest = rest[: stage.repeats], rest[stage.repeats :]
        stages += [f"nn.Sequential(  # stage {number}", *(f"    {line}," for line in mine), "),"]
    pooled = "self.head(x).mean((2, 3))"
    if architecture.head_pooled:
        pooled = "self.head(x.mean((2, 3)))"
    return "\n".join(
        [
            "class Network(nn.Module):",
            f"    def __init__(self, dropout: float = {options.dropout!r}, "
            f"drop_connect: float = {options.drop_connect!r}) -> None:",
            "        super().__init__()",
            f"        self.stem = {stem}",
            f"        self.stem_pool = {pool}",
            "        self.stages = nn.Sequential(",
            *(f"            {line}" for line in stages),
            "        )",
            f"        self.final = {final}",
            f"        self.head = {made}",
            "        self.dropout = nn.Dropout(dropout)",
            f"        self.classifier = nn.Linear({architecture.features}, "
            f"{architecture.num_classes})",
            "",
            "    def forward(self, images: Tensor) -> Tensor:",
            "        x = self.final(self.stages(self.stem_pool(self.stem(images))))",
            f"        logits: Tensor = self.classifier(self.dropout({pooled}))",
            "        return logits",
        ]
    )


def _end(name: str, architecture: Architecture) -> str:
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
