"""Known layouts: EfficientNet's networks as other libraries store them."""

from collections.abc import Callable
from dataclasses import replace

from scalesearch.architectures.stages import Architecture
from scalesearch.deploy.layouts.layout import Layout, NormSettings, TensorName
from scalesearch.models.named import published_name

PYTORCH_NORMS = NormSettings(eps=1e-5, momentum=0.1)
TENSORFLOW_NORMS = NormSettings(eps=1e-3, momentum=0.01)

TORCHVISION_NORMS = {
    "b5": TENSORFLOW_NORMS,
    "b6": TENSORFLOW_NORMS,
    "b7": TENSORFLOW_NORMS,
    "v2_s": NormSettings(eps=1e-3, momentum=0.1),
}
"""torchvision's models whose norms differ from PyTorch's defaults."""


def resize_by_crop_ratio(pixels: int) -> int:
    """Resize images to 256 pixels for an input of 224."""
    return round(pixels / 0.875)


def resize_with_border(pixels: int) -> int:
    """Resize images to 32 pixels more (github.com/tensorflow/tpu, preprocessing.py)."""
    return pixels + 32


def _torchvision_norms(architecture: Architecture) -> NormSettings:
    return TORCHVISION_NORMS.get(published_name(architecture), PYTORCH_NORMS)


def _constant_norms(norms: NormSettings) -> Callable[[Architecture], NormSettings]:
    return lambda architecture: norms


def _numbered_parts(*parts: str) -> dict[str, str]:
    """torchvision's names in a block: parts are numbered, and so are convolution and norm."""
    names: dict[str, str] = {}
    for part in parts:
        sublayers = (
            {"reduce": "fc1", "expand": "fc2"} if part == "squeeze" else {"conv": 0, "norm": 1}
        )
        names |= {
            f"{part}.{our_name}": f"{{position}}.{layout_name}"
            for our_name, layout_name in sublayers.items()
        }
    return names


TORCHVISION_LAYOUT = Layout(
    name="torchvision",
    source="torchvision's EfficientNet",
    signature_tensors=("features.0.0.weight",),
    outer_layers={
        "stem.conv": "features.0.0",
        "stem.norm": "features.0.1",
        "head.conv": "features.{last}.0",
        "head.norm": "features.{last}.1",
        "classifier": "classifier.1",
    },
    block_prefix="features.{number}.{block}.block.",
    block_layers={
        "mbconv": _numbered_parts("expand", "depthwise", "squeeze", "project"),
        "mbconv-1": _numbered_parts("depthwise", "squeeze", "project"),
        "fused_mbconv": _numbered_parts("expand", "project"),
        "fused_mbconv-1": _numbered_parts("expand"),
    },
    norm_settings=_torchvision_norms,
    activations=("silu",),
    padding="half",
    resize_to=resize_by_crop_ratio,
)

_TIMM_SQUEEZE = {"squeeze.reduce": "se.conv_reduce", "squeeze.expand": "se.conv_expand"}

TIMM_LAYOUT = Layout(
    name="timm",
    source="timm's EfficientNet",
    signature_tensors=("conv_stem.weight",),
    outer_layers={
        "stem.conv": "conv_stem",
        "stem.norm": "bn1",
        "head.conv": "conv_head",
        "head.norm": "bn2",
        "classifier": "classifier",
    },
    block_prefix="blocks.{stage}.{block}.",
    block_layers={
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
    norm_settings=_constant_norms(PYTORCH_NORMS),
    padding="half",
    resize_to=resize_by_crop_ratio,
)

TIMM_TF_LAYOUT = replace(
    TIMM_LAYOUT,
    name="timm-tf",
    source="timm's tf_efficientnet",
    norm_settings=_constant_norms(NormSettings(eps=1e-3, momentum=0.1)),
    padding="same",
    resize_to=resize_with_border,
)

_LUKEMELAS_BLOCK = {
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "squeeze.reduce": "_se_reduce",
    "squeeze.expand": "_se_expand",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
}

LUKEMELAS_LAYOUT = Layout(
    name="lukemelas",
    source="efficientnet_pytorch (lukemelas/EfficientNet-PyTorch)",
    signature_tensors=("_conv_stem.weight",),
    outer_layers={
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "head.conv": "_conv_head",
        "head.norm": "_bn1",
        "classifier": "_fc",
    },
    block_prefix="_blocks.{index}.",
    block_layers={
        "mbconv": {"expand.conv": "_expand_conv", "expand.norm": "_bn0", **_LUKEMELAS_BLOCK},
        "mbconv-1": _LUKEMELAS_BLOCK,
    },
    activations=("silu",),
    norm_settings=_constant_norms(TENSORFLOW_NORMS),
    padding="same",
    resize_to=resize_with_border,
)

_KERAS_BLOCK = {
    "depthwise.conv": "dwconv",
    "depthwise.norm": "bn",
    "squeeze.reduce": "se_reduce",
    "squeeze.expand": "se_expand",
    "project.conv": "project_conv",
    "project.norm": "project_bn",
}

KERAS_LAYOUT = Layout(
    name="keras",
    source="keras.applications' EfficientNet",
    signature_tensors=("stem_conv/kernel", "conv2d/kernel"),
    outer_layers={
        "stem.conv": "stem_conv",
        "stem.norm": "stem_bn",
        "head.conv": "top_conv",
        "head.norm": "top_bn",
        "classifier": "predictions",
    },
    block_prefix="block{number}{letter}_",
    block_layers={
        "mbconv": {"expand.conv": "expand_conv", "expand.norm": "expand_bn", **_KERAS_BLOCK},
        "mbconv-1": _KERAS_BLOCK,
    },
    norm_settings=_constant_norms(TENSORFLOW_NORMS),
    padding="same",
    resize_to=resize_with_border,
    separator="/",
    tensor_names={
        ("conv", "weight"): TensorName("kernel", (2, 3, 1, 0)),
        ("conv", "bias"): TensorName("bias"),
        ("depthwise", "weight"): TensorName("kernel", (2, 3, 0, 1)),
        ("linear", "weight"): TensorName("kernel", (1, 0)),
        ("linear", "bias"): TensorName("bias"),
        ("norm", "weight"): TensorName("gamma"),
        ("norm", "bias"): TensorName("beta"),
        ("norm", "running_mean"): TensorName("moving_mean"),
        ("norm", "running_var"): TensorName("moving_variance"),
    },
)

LAYOUTS = {
    layout.name: layout
    for layout in (TORCHVISION_LAYOUT, TIMM_LAYOUT, TIMM_TF_LAYOUT, LUKEMELAS_LAYOUT, KERAS_LAYOUT)
}
"""Layouts by name. timm and timm-tf have the same tensors, with other padding and norms."""
