"""The tensors of a layout in a network of ours."""

from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from scalesearch.architectures import Architecture
from scalesearch.errors import WeightsError
from scalesearch.nets import Network, Options, build
from scalesearch.weights.layouts.layout import BATCHES, Layout, Pair, pairs
from scalesearch.weights.layouts.members import NUMBERED, published_network
from scalesearch.weights.layouts.table import LAYOUTS
from scalesearch.weights.state import Shape, require_same_tensors

FITTED = ("stem.conv.weight", "classifier.weight", "classifier.bias")
"""Whose shapes follow the images and the classes."""


def loaded(
    where: str,
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    layout: Layout,
    options: Options,
) -> Network:
    """The network in evaluation mode with these tensors, in single precision.

    Raises WeightsError where they are not those of the network, or no numbers to compute with.
    """
    table = [pair for pair in pairs(architecture, layout) if _there(pair, tensors)]
    wanted = {pair.theirs: pair.shape for pair in table}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != given:
        require_same_tensors(where, wanted, given, _remedy(given, layout))
    with torch.device("meta"):
        network = build(architecture, **asdict(options))
    state = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in network.state_dict().items()
        if name not in {pair.ours for pair in table}
    }
    for pair in table:
        state[pair.ours] = pair.spelling.ours(_sound(where, pair, tensors[pair.theirs]))
    network.to_empty(device="cpu")
    network.load_state_dict(state)
    return network.eval()


def _there(pair: Pair, tensors: Mapping[str, Tensor]) -> bool:
    return not pair.optional or pair.theirs in tensors


def _sound(where: str, pair: Pair, tensor: Tensor) -> Tensor:
    """A tensor of real, finite numbers in memory."""
    kind = torch.int64 if pair.optional else torch.float32
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise WeightsError(f"{where}: {pair.theirs}: need plain numbers, got {tensor.layout}")
    if tensor.is_complex() or not (pair.optional or tensor.is_floating_point()):
        raise WeightsError(f"{where}: {pair.theirs}: need real numbers, got {tensor.dtype}")
    if not tensor.isfinite().all():
        raise WeightsError(
            f"{where}: {pair.theirs}: need finite numbers, got others: the training that left it "
            "had diverged, or the file is damaged"
        )
    return tensor.detach().to(kind)


def _remedy(given: Mapping[str, Shape], layout: Layout) -> str:
    """What the tensors look like, where they look like something."""
    for other in LAYOUTS.values():
        if other.marks != layout.marks and any(mark in given for mark in other.marks):
            return f"they look like those of layout {other.name}"
    for name in NUMBERED:
        table = [pair for pair in pairs(published_network(name), layout) if not pair.optional]
        ends = {pair.theirs for pair in table if pair.ours in FITTED}
        body = {pair.theirs: pair.shape for pair in table if pair.theirs not in ends}
        if all(given.get(tensor) == shape for tensor, shape in body.items()) and not any(
            tensor not in body and tensor not in ends and not tensor.endswith(BATCHES)
            for tensor in given
        ):
            return f"they look like those of efficientnet_{name}"
    return "check the network and the layout, and whether the file is whole"
