"""What Keras' files call layers by, and the statistics of images that its networks keep inside."""

import re
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from scalesearch.architectures import Architecture
from scalesearch.data.augment.view import IMAGENET_MEAN, IMAGENET_STD
from scalesearch.errors import WeightsError
from scalesearch.nets import build_model
from scalesearch.weights.layouts.layout import Layout, layer_kind, layer_names

KERAS_CLASSES = {
    "conv": "conv2d",
    "depthwise": "depthwise_conv2d",
    "norm": "batch_normalization",
    "linear": "dense",
}
"""By the kind of a layer, its class as ``.weights.h5`` writes it."""

NORMALISATION = re.compile(r"normalization(_\d+)?/(mean|variance|count)")
MIN_STD = 1e-7  # keras.layers.Normalization divides by no less

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, as fractions of full brightness."""


def with_layer_names(
    tensors: Mapping[str, Tensor], architecture: Architecture, layout: Layout
) -> dict[str, Tensor]:
    """Tensors of layers that are called after their class and number, by the layers' own names.

    Keras numbers the layers of each class in the network's order. Others stay as they are.
    """
    with torch.device("meta"):
        network = build_model(architecture)
    class_counts: Counter[str] = Counter()
    names = {}
    for our_name, layout_name in layer_names(network, layout):
        kind = KERAS_CLASSES[layer_kind(network.get_submodule(our_name))]
        names[f"{kind}_{class_counts[kind]}" if class_counts[kind] else kind] = layout_name
        class_counts[kind] += 1
    name_parts = {name: name.partition("/") for name in tensors}
    return {
        f"{names.get(layer, layer)}/{variable}": tensors[name]
        for name, (layer, _, variable) in name_parts.items()
    }


def without_normalisation(
    where: str, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Statistics | None]:
    """The tensors of the network proper, and what its first layer does to images of 0 to 1.

    The networks that Keras publishes hold the standard deviation where the variance should be, and
    make up for it by a layer without weights (keras.src.applications.efficientnet).
    """
    statistics = {
        match[2]: tensors[name].double()
        for name in tensors
        if (match := NORMALISATION.fullmatch(name))
    }
    network_tensors = {name: tensor for name, tensor in tensors.items() if not NORMALISATION.fullmatch(name)}
    if "mean" not in statistics or "variance" not in statistics:
        return network_tensors, None
    mean, variance = statistics["mean"].flatten(), statistics["variance"].flatten()
    if len(mean) != len(variance) or not (variance >= 0).all() or not mean.isfinite().all():
        raise WeightsError(
            f"{where}: need a mean and a variance for each channel in normalization, got "
            f"{mean.tolist()[:4]} and {variance.tolist()[:4]}; write the file again"
        )
    std = variance if _is_imagenet_statistics(mean, variance) else variance.sqrt().clamp(min=MIN_STD)
    return network_tensors, (_rounded(mean), _rounded(std))


def _is_imagenet_statistics(mean: Tensor, variance: Tensor) -> bool:
    imagenet_statistics = torch.tensor([IMAGENET_MEAN, IMAGENET_STD], dtype=torch.float64)
    return len(mean) == 3 and torch.allclose(torch.stack([mean, variance]), imagenet_statistics, atol=1e-5)


def _rounded(values: Tensor) -> tuple[float, ...]:
    """As many digits as single precision has."""
    return tuple(float(f"{value:.7g}") for value in values.tolist())
