"""The tensors of a layout in a network of ours."""

from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from scalesearch.architectures import Architecture
from scalesearch.errors import WeightsError
from scalesearch.nets import Network, NetworkOptions, build_model
from scalesearch.weights.layouts.layout import BATCH_COUNTER, Layout, TensorPair, tensor_pairs
from scalesearch.weights.layouts.members import EFFICIENTNET_NAMES, published_network
from scalesearch.weights.layouts.table import LAYOUTS
from scalesearch.weights.state import Shape, require_same_tensors

DATA_DEPENDENT_TENSORS = ("stem.conv.weight", "classifier.weight", "classifier.bias")
"""Whose shapes follow the images and the classes."""


def network_from_tensors(
    where: str,
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    layout: Layout,
    options: NetworkOptions,
) -> Network:
    """The network in evaluation mode with these tensors, in single precision.

    Raises WeightsError where they are not those of the network, or no numbers to compute with.
    """
    tensor_table = [pair for pair in tensor_pairs(architecture, layout) if _is_present(pair, tensors)]
    expected = {pair.layout_name: pair.shape for pair in tensor_table}
    actual = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != actual:
        require_same_tensors(where, expected, actual, _mismatch_remedy(actual, layout))
    with torch.device("meta"):
        network = build_model(architecture, **asdict(options))
    state = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in network.state_dict().items()
        if name not in {pair.our_name for pair in tensor_table}
    }
    for pair in tensor_table:
        state[pair.our_name] = pair.tensor_name.from_layout(_require_finite(where, pair, tensors[pair.layout_name]))
    network.to_empty(device="cpu")
    network.load_state_dict(state)
    return network.eval()


def _is_present(pair: TensorPair, tensors: Mapping[str, Tensor]) -> bool:
    return not pair.is_optional or pair.layout_name in tensors


def _require_finite(where: str, pair: TensorPair, tensor: Tensor) -> Tensor:
    """A tensor of real, finite numbers in memory."""
    dtype = torch.int64 if pair.is_optional else torch.float32
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise WeightsError(f"{where}: {pair.layout_name}: need plain numbers, got {tensor.layout}")
    if tensor.is_complex() or not (pair.is_optional or tensor.is_floating_point()):
        raise WeightsError(f"{where}: {pair.layout_name}: need real numbers, got {tensor.dtype}")
    if not tensor.isfinite().all():
        raise WeightsError(
            f"{where}: {pair.layout_name}: need finite numbers, got others: the training that left it "
            "had diverged, or the file is damaged"
        )
    return tensor.detach().to(dtype)


def _mismatch_remedy(actual: Mapping[str, Shape], layout: Layout) -> str:
    """What the tensors look like, where they look like something."""
    for other in LAYOUTS.values():
        if other.signature_tensors != layout.signature_tensors and any(mark in actual for mark in other.signature_tensors):
            return f"they look like those of layout {other.name}"
    for name in EFFICIENTNET_NAMES:
        table = [pair for pair in tensor_pairs(published_network(name), layout) if not pair.is_optional]
        outer_tensors = {pair.layout_name for pair in table if pair.our_name in DATA_DEPENDENT_TENSORS}
        body_shapes = {pair.layout_name: pair.shape for pair in table if pair.layout_name not in outer_tensors}
        if all(actual.get(tensor) == shape for tensor, shape in body_shapes.items()) and not any(
            tensor not in body_shapes and tensor not in outer_tensors and not tensor.endswith(BATCH_COUNTER)
            for tensor in actual
        ):
            return f"they look like those of efficientnet_{name}"
    return "check the network and the layout, and whether the file is whole"
