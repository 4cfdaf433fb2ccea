"""What a layout is: how a library names, turns and reads the tensors of a network of ours.

Our own names follow from the architecture (``stages.2.0.project.conv.weight``). A layout says what
it calls the parts of a block and how it counts blocks, and the names of every depth and every width
follow from that.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from scalesearch.architectures import Architecture, Stage
from scalesearch.errors import WeightsError
from scalesearch.nets import Network, build

BATCHES = "num_batches_tracked"
"""How many batches a norm has seen: PyTorch alone counts them, and old files lack the count."""


@dataclass(frozen=True, slots=True)
class Norms:
    """The settings of all batch norms of a network, which files of weights do not hold."""

    eps: float
    momentum: float


@dataclass(frozen=True, slots=True)
class Spelling:
    """What a layer's tensor is called, and its axes as ``permute`` takes them where they are not
    in PyTorch's order."""

    name: str
    axes: tuple[int, ...] = ()

    def theirs(self, tensor: Tensor) -> Tensor:
        return tensor.permute(self.axes).contiguous() if self.axes else tensor

    def ours(self, tensor: Tensor) -> Tensor:
        back = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return tensor.permute(back).contiguous() if self.axes else tensor


Spellings = Mapping[tuple[str, str], Spelling]
"""By the kind of a layer (``layer_kind``) and our name of its tensor."""

PYTORCH: Spellings = {
    (layer, name): Spelling(name)
    for layer, names in {
        "conv": ("weight", "bias"),
        "depthwise": ("weight",),
        "linear": ("weight", "bias"),
        "norm": ("weight", "bias", "running_mean", "running_var", BATCHES),
    }.items()
    for name in names
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one library writes down the networks that we describe by stages.

    ``ends``: our layers outside of the stages -> theirs. ``block``: the prefix of a block's
    layers. ``parts``: by the kind of a block (``block_kind``), our layers in it -> theirs behind
    the prefix. Names may hold ``{stage}`` and ``{block}`` (in its stage), ``{index}`` (of the block
    in the network) and ``{position}`` (of the part among those that the block has), all from 0,
    ``{number}`` (the stage's, from 1), ``{letter}`` (the block's, from a) and ``{last}`` (the
    number behind the last stage's).

    ``marks``: tensors by which the layout is known. ``norms``: the settings of a network's norms.
    ``padding``: of convolutions that stride (``nets.build``). ``stored``: to how many pixels an
    image is customarily resized before its input's many are cut out of the centre.
    ``activations``: which the library builds networks with; all, if none is named.
    """

    name: str
    source: str
    marks: tuple[str, ...]
    ends: Mapping[str, str]
    block: str
    parts: Mapping[str, Mapping[str, str]]
    norms: Callable[[Architecture], Norms]
    padding: Literal["half", "same"]
    stored: Callable[[int], int]
    spellings: Spellings = field(default_factory=lambda: PYTORCH)
    separator: str = "."
    activations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor by our name and by theirs, and its shape there."""

    ours: str
    theirs: str
    spelling: Spelling
    shape: tuple[int, ...]

    @property
    def optional(self) -> bool:
        return self.ours.endswith(BATCHES)


def pairs(architecture: Architecture, layout: Layout) -> tuple[Pair, ...]:
    """Every tensor of the network that an architecture describes, as the layout has it.

    Raises WeightsError for a network with a part that the layout has no name for.
    """
    with torch.device("meta"):
        network = build(architecture)
    names = dict(layer_names(network, layout))
    return tuple(_pairs(network, names, layout))


def _pairs(network: Network, names: Mapping[str, str], layout: Layout) -> Iterator[Pair]:
    for ours, tensor in network.state_dict().items():
        layer, _, own = ours.rpartition(".")
        spelling = layout.spellings.get((layer_kind(network.get_submodule(layer)), own))
        if spelling is not None:
            theirs = f"{names[layer]}{layout.separator}{spelling.name}"
            yield Pair(ours, theirs, spelling, tuple(spelling.theirs(tensor).shape))


def layer_names(network: Network, layout: Layout) -> Iterator[tuple[str, str]]:
    """Our name and theirs of each layer that holds tensors, in the network's order."""
    groups: dict[tuple[int, int], list[str]] = {}
    for ours, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            continue
        if not ours.startswith("stages."):
            last = len(network.architecture.stages) + 1
            yield ours, _found(layout.ends, ours, ours, layout).format(last=last)
            continue
        _, stage, block, part = ours.split(".", 3)
        place = int(stage), int(block)
        had = groups.setdefault(place, [])
        if part.partition(".")[0] not in had:
            had.append(part.partition(".")[0])
        fields = _fields(network.architecture, *place) | {"position": len(had) - 1}
        kind = block_kind(network.architecture.stages[place[0]])
        theirs = _found(layout.parts.get(kind, {}), part, f"{ours} of a {kind} block", layout)
        yield ours, (layout.block + theirs).format(**fields)


def _fields(architecture: Architecture, stage: int, block: int) -> dict[str, int | str]:
    return {
        "stage": stage,
        "block": block,
        "index": sum(architecture.repeats[:stage]) + block,
        "number": stage + 1,
        "letter": chr(ord("a") + block),  # and on into other characters, as keras does
    }


def _found(names: Mapping[str, str], part: str, told: str, layout: Layout) -> str:
    if part not in names:
        raise WeightsError(
            f"layout {layout.name}: need a network of {layout.source}, got one with {told}, which "
            "has no name there; keep it as a network file of ours"
        )
    return names[part]


def layer_kind(layer: nn.Module) -> str:
    """conv, depthwise, linear or norm."""
    if isinstance(layer, nn.Conv2d):
        return "depthwise" if layer.groups > 1 else "conv"
    return "linear" if isinstance(layer, nn.Linear) else "norm"


def block_kind(stage: Stage) -> str:
    """The block's name, ``-1`` behind it where it could expand and does not."""
    could = stage.block in ("mbconv", "fused_mbconv")
    return f"{stage.block}-1" if could and stage.expansion == 1 else stage.block
