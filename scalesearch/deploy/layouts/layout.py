"""Layouts: how a library names, permutes and reads the tensors of our networks.

Our own names follow from the architecture (``stages.2.0.project.conv.weight``). A layout names the
parts of a block and counts the blocks; the names for every depth and width follow from that.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.errors import WeightsError
from scalesearch.models.network import Network, build_model

BATCH_COUNTER = "num_batches_tracked"
"""Batches a norm has seen: only PyTorch counts them, and old files lack the count."""


@dataclass(frozen=True, slots=True)
class NormSettings:
    """Settings of all batch norms of a network, which weight files do not hold."""

    eps: float
    momentum: float


@dataclass(frozen=True, slots=True)
class TensorName:
    """Name of a layer's tensor, and its axes if not in PyTorch's order."""

    name: str
    axes: tuple[int, ...] = ()

    def to_layout(self, tensor: Tensor) -> Tensor:
        """Return our tensor with the layout's order of axes."""
        return tensor.permute(self.axes).contiguous() if self.axes else tensor

    def from_layout(self, tensor: Tensor) -> Tensor:
        """Return the layout's tensor with PyTorch's order of axes."""
        inverse_axes = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return tensor.permute(inverse_axes).contiguous() if self.axes else tensor


TensorNames = Mapping[tuple[str, str], TensorName]
"""Names by the kind of a layer (``layer_kind``) and our name of its tensor."""

PYTORCH_TENSOR_NAMES: TensorNames = {
    (layer, name): TensorName(name)
    for layer, names in {
        "conv": ("weight", "bias"),
        "depthwise": ("weight",),
        "linear": ("weight", "bias"),
        "norm": ("weight", "bias", "running_mean", "running_var", BATCH_COUNTER),
    }.items()
    for name in names
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A library's way to store our networks.

    ``outer_layers``: our layers outside of the stages -> theirs. ``block_prefix``: prefix of a
    block's layers. ``block_layers``: by the kind of a block (``block_kind``), our layers in it ->
    theirs after the prefix. Names may contain ``{stage}`` and ``{block}`` (in its stage),
    ``{index}`` (of the block in the network) and ``{position}`` (of the part in the block), all
    from 0, ``{number}`` (the stage's, from 1), ``{letter}`` (the block's, from a) and ``{last}``
    (the number after the last stage's).

    ``signature_tensors``: tensors that identify the layout. ``norm_settings``: settings of a
    network's norms. ``padding``: of strided convolutions (``build_model``). ``resize_to``: pixels
    to which an image is customarily resized before its centre is cut out. ``activations``: those
    that the library builds networks with; all, if empty.
    """

    name: str
    source: str
    signature_tensors: tuple[str, ...]
    outer_layers: Mapping[str, str]
    block_prefix: str
    block_layers: Mapping[str, Mapping[str, str]]
    norm_settings: Callable[[Architecture], NormSettings]
    padding: Literal["half", "same"]
    resize_to: Callable[[int], int]
    tensor_names: TensorNames = field(default_factory=lambda: PYTORCH_TENSOR_NAMES)
    separator: str = "."
    activations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorPair:
    """A tensor by our name and by the layout's, and its shape there."""

    our_name: str
    layout_name: str
    tensor_name: TensorName
    shape: tuple[int, ...]

    @property
    def is_optional(self) -> bool:
        """Whether files may lack the tensor."""
        return self.our_name.endswith(BATCH_COUNTER)


def tensor_pairs(architecture: Architecture, layout: Layout) -> tuple[TensorPair, ...]:
    """Every tensor of an architecture's network in the layout.

    Raises WeightsError for a network with a part that the layout has no name for.
    """
    with torch.device("meta"):
        network = build_model(architecture)
    names = dict(layer_names(network, layout))
    return tuple(_iterate_tensor_pairs(network, names, layout))


def _iterate_tensor_pairs(
    network: Network, names: Mapping[str, str], layout: Layout
) -> Iterator[TensorPair]:
    for our_name, tensor in network.state_dict().items():
        layer, _, short_name = our_name.rpartition(".")
        tensor_name = layout.tensor_names.get(
            (layer_kind(network.get_submodule(layer)), short_name)
        )
        if tensor_name is not None:
            layout_name = f"{names[layer]}{layout.separator}{tensor_name.name}"
            yield TensorPair(
                our_name, layout_name, tensor_name, tuple(tensor_name.to_layout(tensor).shape)
            )


def layer_names(network: Network, layout: Layout) -> Iterator[tuple[str, str]]:
    """Our name and the layout's of each layer with tensors, in the network's order."""
    groups: dict[tuple[int, int], list[str]] = {}
    for our_name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            continue
        if not our_name.startswith("stages."):
            last = len(network.architecture.stages) + 1
            yield (
                our_name,
                _layout_name(layout.outer_layers, our_name, our_name, layout).format(last=last),
            )
            continue
        _, stage, block, part = our_name.split(".", 3)
        block_index = int(stage), int(block)
        parts_seen = groups.setdefault(block_index, [])
        if part.partition(".")[0] not in parts_seen:
            parts_seen.append(part.partition(".")[0])
        fields = _format_fields(network.architecture, *block_index) | {
            "position": len(parts_seen) - 1
        }
        kind = block_kind(network.architecture.stages[block_index[0]])
        layout_name = _layout_name(
            layout.block_layers.get(kind, {}), part, f"{our_name} of a {kind} block", layout
        )
        yield our_name, (layout.block_prefix + layout_name).format(**fields)


def _format_fields(architecture: Architecture, stage: int, block: int) -> dict[str, int | str]:
    return {
        "stage": stage,
        "block": block,
        "index": sum(architecture.repeats[:stage]) + block,
        "number": stage + 1,
        "letter": chr(ord("a") + block),  # continues with other characters, as keras does
    }


def _layout_name(names: Mapping[str, str], part: str, description: str, layout: Layout) -> str:
    if part not in names:
        raise WeightsError(
            f"layout {layout.name}: need a network of {layout.source}, got one with "
            f"{description}, which has no name there; keep it as a network file of ours"
        )
    return names[part]


def layer_kind(layer: nn.Module) -> str:
    """Kind of a layer: conv, depthwise, linear or norm."""
    if isinstance(layer, nn.Conv2d):
        return "depthwise" if layer.groups > 1 else "conv"
    return "linear" if isinstance(layer, nn.Linear) else "norm"


def block_kind(stage: Stage) -> str:
    """Name of a block, followed by ``-1`` if it could expand and does not."""
    can_expand = stage.block in ("mbconv", "fused_mbconv")
    return f"{stage.block}-1" if can_expand and stage.expansion == 1 else stage.block
