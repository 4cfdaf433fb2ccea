"""Weight files of Keras, read through h5py (an extra), and their layer names.

There are two kinds. ``.h5``, of Keras 2 and of whole models, has a group for each layer, with its
variables by name. ``.weights.h5``, of Keras 3, numbers the layers of each class and the variables
of each layer; newer versions note a layer's name beside them.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from scalesearch.architectures.stages import Architecture
from scalesearch.data.augmentation.geometry import IMAGENET_MEAN, IMAGENET_STD
from scalesearch.deploy.layouts.layout import Layout, layer_kind, layer_names
from scalesearch.errors import WeightsError
from scalesearch.models.network import build_model

VARIABLES_BY_CLASS = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel",),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
"""Variables that ``.weights.h5`` numbers, by the layer's class, which names its group."""

OLD_NAMES = {"depthwise_kernel": "kernel"}
"""Variables of Keras 2 by their names in Keras 3."""

TRAINING_GROUPS = ("optimizer", "optimizer_weights")
"""Groups of a saved training that hold no network."""


def read_keras(path: Path, max_bytes: int, content: BinaryIO | None = None) -> dict[str, Tensor]:
    """Read a file's variables as ``layer/variable``, such as ``stem_conv/kernel``.

    In a ``.weights.h5`` without names, a layer is named by its class: ``conv2d_3/kernel``.
    ``content``: read instead of the file, if it lies within another. Raises WeightsError if h5py
    is missing, and for a file that is damaged, holds more than ``max_bytes``, or takes its values
    from other files.
    """
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(
            f"{path}: need h5py for Keras' files, got {error}; pip install 'scalesearch[keras]'"
        ) from error
    datasets: dict[str, Any] = {}

    def collect(hdf5_path: str, hdf5_object: Any) -> None:  # only hard links are visited
        """Keep a weight of the file by its path."""
        if (
            isinstance(hdf5_object, h5py.Dataset)
            and hdf5_path.partition("/")[0] not in TRAINING_GROUPS
        ):
            datasets[hdf5_path] = hdf5_object

    try:
        with h5py.File(content or path, "r") as file:
            file.visititems(collect)
            _require_contained(path, datasets, max_bytes)
            named_datasets = [
                (_variable_name(place, data), data) for place, data in datasets.items()
            ]
            tensors = {name: _tensor(path, name, data) for name, data in named_datasets if name}
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a whole HDF5 file of Keras ({error}); copy or download it again"
        ) from error
    if not tensors:
        raise WeightsError(
            f"{path}: need the weights of a Keras model, got an HDF5 file without any; write them "
            "by model.save_weights('NAME.weights.h5')"
        )
    return tensors


def _require_contained(path: Path, datasets: dict[str, Any], max_bytes: int) -> None:
    for hdf5_path, data in datasets.items():
        if data.external or data.is_virtual:
            raise WeightsError(
                f"{path}: {hdf5_path}: need values in this file, got those of other files"
            )
    content_bytes = sum(data.nbytes for data in datasets.values())
    if content_bytes > max_bytes:
        raise WeightsError(
            f"{path}: need tensors of at most {max_bytes:,} bytes for a file of this size, got "
            f"{content_bytes:,}; the file was not read"
        )


def _variable_name(hdf5_path: str, data: Any) -> str:
    """``layer/variable``, or None for a dataset that is no variable of a known layer."""
    parts = PurePosixPath(hdf5_path).parts
    if len(parts) < 2:
        return ""
    layer, variable = parts[-2], parts[-1].partition(":")[0]
    if layer != "vars":
        return f"{layer}/{OLD_NAMES.get(variable, variable)}"
    group, layer_name = (parts[-3] if len(parts) > 2 else ""), data.parent.attrs.get("name", "")
    variables = VARIABLES_BY_CLASS.get(re.sub(r"_\d+$", "", group), ())
    if not variable.isdigit() or int(variable) >= len(variables):
        return ""
    return f"{layer_name or group}/{variables[int(variable)]}"


def _tensor(path: Path, name: str, data: Any) -> Tensor:
    if data.dtype.kind not in "fi":
        raise WeightsError(f"{path}: {name}: need numbers, got {data.dtype}; save it as float32")
    values = np.asarray(data[()])
    return torch.from_numpy(values.astype(np.float32 if data.dtype.kind == "f" else np.int64))


KERAS_CLASSES = {
    "conv": "conv2d",
    "depthwise": "depthwise_conv2d",
    "norm": "batch_normalization",
    "linear": "dense",
}
"""Keras' class of a layer, as ``.weights.h5`` writes it, by the kind of the layer."""

NORMALISATION = re.compile(r"normalization(_\d+)?/(mean|variance|count)")
MIN_STD = 1e-7  # keras.layers.Normalization divides by no less

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, as fractions of full brightness."""


def with_layer_names(
    tensors: Mapping[str, Tensor], architecture: Architecture, layout: Layout
) -> dict[str, Tensor]:
    """Tensors of layers named by class and number, under the layers' own names.

    Keras numbers the layers of each class in the network's order. Other names stay.
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
    """Tensors without the first normalisation layer, and that layer's statistics.

    The networks that Keras publishes hold the standard deviation in place of the variance, and
    compensate by a layer without weights (keras.src.applications.efficientnet).
    """
    statistics = {
        match[2]: tensors[name].double()
        for name in tensors
        if (match := NORMALISATION.fullmatch(name))
    }
    network_tensors = {
        name: tensor for name, tensor in tensors.items() if not NORMALISATION.fullmatch(name)
    }
    if "mean" not in statistics or "variance" not in statistics:
        return network_tensors, None
    mean, variance = statistics["mean"].flatten(), statistics["variance"].flatten()
    if len(mean) != len(variance) or not (variance >= 0).all() or not mean.isfinite().all():
        raise WeightsError(
            f"{where}: need a mean and a variance for each channel in normalization, got "
            f"{mean.tolist()[:4]} and {variance.tolist()[:4]}; write the file again"
        )
    std = (
        variance if _is_imagenet_statistics(mean, variance) else variance.sqrt().clamp(min=MIN_STD)
    )
    return network_tensors, (_rounded(mean), _rounded(std))


def _is_imagenet_statistics(mean: Tensor, variance: Tensor) -> bool:
    imagenet_statistics = torch.tensor([IMAGENET_MEAN, IMAGENET_STD], dtype=torch.float64)
    return len(mean) == 3 and torch.allclose(
        torch.stack([mean, variance]), imagenet_statistics, atol=1e-5
    )


def _rounded(values: Tensor) -> tuple[float, ...]:
    """Values with the digits of single precision."""
    return tuple(float(f"{value:.7g}") for value in values.tolist())
