"""The layouts that are known: EfficientNet's networks as others store them."""

from collections.abc import Callable
from dataclasses import replace

from scalesearch.architectures import Architecture
from scalesearch.weights.layouts.layout import Layout, Norms, Spelling
from scalesearch.weights.layouts.members import member_of

PYTORCH = Norms(eps=1e-5, momentum=0.1)
TENSORFLOW = Norms(eps=1e-3, momentum=0.01)

TORCHVISION_NORMS = {
    "b5": TENSORFLOW,
    "b6": TENSORFLOW,
    "b7": TENSORFLOW,
    "v2_s": Norms(eps=1e-3, momentum=0.1),
}
"""Of those of torchvision's models whose norms are not as PyTorch makes them."""


def seven_eighths(pixels: int) -> int:
    """An image is resized to 256 pixels for an input of 224."""
    return round(pixels / 0.875)


def with_a_border(pixels: int) -> int:
    """An image is resized to 32 pixels more (github.com/tensorflow/tpu, preprocessing.py)."""
    return pixels + 32


def _torchvision_norms(architecture: Architecture) -> Norms:
    return TORCHVISION_NORMS.get(member_of(architecture), PYTORCH)


def _always(norms: Norms) -> Callable[[Architecture], Norms]:
    return lambda architecture: norms


def _in_turn(*parts: str) -> dict[str, str]:
    """torchvision's names in a block: parts are numbered, and so are a convolution and its norm."""
    names: dict[str, str] = {}
    for part in parts:
        inside = {"reduce": "fc1", "expand": "fc2"} if part == "squeeze" else {"conv": 0, "norm": 1}
        names |= {f"{part}.{ours}": f"{{position}}.{theirs}" for ours, theirs in inside.items()}
    return names


TORCHVISION = Layout(
    name="torchvision",
    source="torchvision's EfficientNet",
    marks=("features.0.0.weight",),
    ends={
        "stem.conv": "features.0.0",
        "stem.norm": "features.0.1",
        "head.conv": "features.{last}.0",
        "head.norm": "features.{last}.1",
        "classifier": "classifier.1",
    },
    block="features.{number}.{block}.block.",
    parts={
        "mbconv": _in_turn("expand", "depthwise", "squeeze", "project"),
        "mbconv-1": _in_turn("depthwise", "squeeze", "project"),
        "fused_mbconv": _in_turn("expand", "project"),
        "fused_mbconv-1": _in_turn("expand"),
    },
    norms=_torchvision_norms,
    activations=("silu",),
    padding="half",
    stored=seven_eighths,
)

_TIMM_SQUEEZE = {"squeeze.reduce": "se.conv_reduce", "squeeze.expand": "se.conv_expand"}

TIMM = Layout(
    name="timm",
    source="timm's EfficientNet",
    marks=("conv_stem.weight",),
    ends={
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "head.conv": "conv_head",
        "head.norm": "bn2",
        "classifier": "classifier",
    },
    block="blocks.{stage}.{block}.",
    parts={
        "mbconv": {
            "expand.conv": "conv_pw",
            "expand.norm": "bn1",
            "depthwise.conv": "conv_dw",
            "depthwise.norm": "bn2",
            **_TIMM_SQUEEZE,
            "project.conv": "conv_pwl",
            "project.norm": "bn3",
        },
        "mbconv-1": {
            "depthwise.conv": "conv_dw",
            "depthwise.norm": "bn1",
            **_TIMM_SQUEEZE,
            "project.conv": "conv_pw",
            "project.norm": "bn2",
        },
        "fused_mbconv": {
            "expand.conv": "conv_exp",
            "expand.norm": "bn1",
            **_TIMM_SQUEEZE,
            "project.conv": "conv_pwl",
            "project.norm": "bn2",
        },
        "fused_mbconv-1": {"expand.conv": "conv", "expand.norm": "bn1"},
    },
    norms=_always(PYTORCH),
    padding="half",
    stored=seven_eighths,
)

TIMM_TF = replace(
    TIMM,
    name="timm-tf",
    source="timm's tf_efficientnet",
    norms=_always(Norms(eps=1e-3, momentum=0.1)),
    padding="same",
    stored=with_a_border,
)

_LUKEMELAS = {
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "squeeze.reduce": "_se_reduce",
    "squeeze.expand": "_se_expand",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
}

LUKEMELAS = Layout(
    name="lukemelas",
    source="efficientnet_pytorch (lukemelas/EfficientNet-PyTorch)",
    marks=("_conv_stem.weight",),
    ends={
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "head.conv": "_conv_head",
        "head.norm": "_bn1",
        "classifier": "_fc",
    },
    block="_blocks.{index}.",
    parts={
        "mbconv": {"expand.conv": "_expand_conv", "expand.norm": "_bn0", **_LUKEMELAS},
        "mbconv-1": _LUKEMELAS,
    },
    activations=("silu",),
    norms=_always(TENSORFLOW),
    padding="same",
    stored=with_a_border,
)

_KERAS = {
    "depthwise.conv": "dwconv",
    "depthwise.norm": "bn",
    "squeeze.reduce": "se_reduce",
    "squeeze.expand": "se_expand",
    "project.conv": "project_conv",
    "project.norm": "project_bn",
}

KERAS = Layout(
    name="keras",
    source="keras.applications' EfficientNet",
    marks=("stem_conv/kernel", "conv2d/kernel"),
    ends={
        "stem.conv": "stem_conv",
        "stem.norm": "stem_bn",
        "head.conv": "top_conv",
        "head.norm": "top_bn",
        "classifier": "predictions",
    },
    block="block{number}{letter}_",
    parts={
        "mbconv": {"expand.conv": "expand_conv", "expand.norm": "expand_bn", **_KERAS},
        "mbconv-1": _KERAS,
    },
    norms=_always(TENSORFLOW),
    padding="same",
    stored=with_a_border,
    separator="/",
    spellings={
        ("conv", "weight"): Spelling("kernel", (2, 3, 1, 0)),
        ("conv", "bias"): Spelling("bias"),
        ("depthwise", "weight"): Spelling("kernel", (2, 3, 0, 1)),
        ("linear", "weight"): Spelling("kernel", (1, 0)),
        ("linear", "bias"): Spelling("bias"),
        ("norm", "weight"): Spelling("gamma"),
        ("norm", "bias"): Spelling("beta"),
        ("norm", "running_mean"): Spelling("moving_mean"),
        ("norm", "running_var"): Spelling("moving_variance"),
    },
)

LAYOUTS = {layout.name: layout for layout in (TORCHVISION, TIMM, TIMM_TF, LUKEMELAS, KERAS)}
"""By name. timm and timm-tf have the same tensors, of networks that pad and normalise otherwise."""
