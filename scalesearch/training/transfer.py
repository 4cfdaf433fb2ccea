"""Training that goes on from a trained network: whose weights are taken over, and what moves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures import Architecture, Foreign, cost
from scalesearch.errors import WeightsError
from scalesearch.nets import Network, Options
from scalesearch.recipe import Transfer
from scalesearch.recipe.transfer import part_names
from scalesearch.training.job import Job, Weights
from scalesearch.weights import Saved, read_network
from scalesearch.weights.digest import digest
from scalesearch.weights.state import require_same_tensors

STEM = "stem.conv.weight"
FREE = ("resolution", "stem_stride", "in_channels", "num_classes")
"""Fields of an architecture on which no weight depends but those that are adapted here."""


def start_of(weights: Weights) -> Saved:
    """The network of a file that a job starts from.

    Raises WeightsError for a file that cannot be read, or that has other weights by now.
    """
    saved = read_network(weights.path)
    if (now := digest(saved.network)) != weights.digest:
        raise WeightsError(
            f"{weights.path}: need the weights that the run was planned with ({weights.digest}), "
            f"got others ({now}); put the file back, or train in another folder"
        )
    return saved


def require_like(saved: Saved, network: Architecture | Foreign, where: str) -> None:
    """Raise WeightsError where a network is not the one of a file, whose resolution, stem stride,
    image channels and classes alone may differ."""
    theirs = saved.architecture
    if isinstance(theirs, Foreign) or isinstance(network, Foreign):
        code = theirs if isinstance(theirs, Foreign) else network
        raise WeightsError(
            f"{where}: need a network as data, whose classifier and stages are known, got {code}, "
            "which code makes; write its stages as YAML"
        )
    if replace(theirs, **{name: getattr(network, name) for name in FREE}) != network:
        raise WeightsError(
            f"{where}: need the file's own network, of which the resolution and the stem's stride "
            "alone may change, got another; leave --width and --depth out"
        )


def require_classes(saved: Saved, class_names: Sequence[str], where: str) -> None:
    """Raise WeightsError where a classifier that is kept is not for these classes, in this order.

    Of a file that does not know its classes' names, their number has to do.
    """
    theirs = saved.preparation.class_names if saved.preparation else ()
    count = saved.architecture.num_classes
    if tuple(theirs) == tuple(class_names) or (not theirs and count == len(class_names)):
        return
    told = f"got {len(class_names)} classes instead of {count}"
    if theirs:
        gone = [name for name in theirs if name not in class_names]
        new = [name for name in class_names if name not in theirs]
        listed = [f"{what} {_some(names)}" for what, names in (("no", gone), ("new", new)) if names]
        told = f"got {'; '.join(listed)}" if listed else "got them in another order"
    raise WeightsError(
        f"{where}: need the classes of the file to keep its classifier, {told}; train a new one "
        "(--head new)"
    )


def computing(saved: Saved) -> dict[str, Any]:
    """The options of ``build`` by which a network computes what its weights were trained for."""
    options = saved.network.options if isinstance(saved.network, Network) else Options()
    return {"norm_eps": options.norm_eps, "padding": options.padding}


@torch.no_grad()
def take_over(network: Network, saved: Saved, transfer: Transfer, where: str) -> None:
    """Fill the network, which has its first weights, with those of a trained one.

    Of a new classifier nothing is taken; the stem is adapted to the images' channels.
    Raises WeightsError where tensors do not fit, naming them.
    """
    theirs = {
        name: tensor
        for name, tensor in saved.network.state_dict().items()
        if transfer.classifier == "keep" or not name.startswith("classifier.")
    }
    theirs[STEM] = stem_for(theirs[STEM], network.architecture.in_channels, where)
    ours = network.state_dict()
    wanted = ours if transfer.classifier == "keep" else _without_classifier(ours)
    require_same_tensors(
        where,
        {name: tuple(tensor.shape) for name, tensor in wanted.items()},
        {name: tuple(tensor.shape) for name, tensor in theirs.items()},
        "train a new classifier (--head new), or start from another file",
    )
    for name, tensor in theirs.items():
        ours[name].copy_(tensor)


def stem_for(weight: Tensor, channels: int, where: str = "stem") -> Tensor:
    """The stem's weights (O, I, k, k) for images of so many channels.

    Grey images seen as colour have the same value in all channels, so the sum over them answers as
    the colour stem does; the other way each colour takes its part of the grey weight, so that grey
    images in colour are answered as before. Both hold where the channels are normalised alike.
    So does timm's ``adapt_input_conv``
    (github.com/huggingface/pytorch-image-models, timm/models/_manipulate.py).

    Raises WeightsError for other numbers of channels than 1 and the stem's own.
    """
    has = weight.shape[1]
    if channels == has:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    if has == 1:
        return weight.expand(-1, channels, -1, -1) / channels
    raise WeightsError(
        f"{where}: need images of {has} channels, or of 1, got images of {channels}; prepare them "
        "so, or train from the beginning"
    )


def frozen(job: Job, epoch: int) -> frozenset[str]:
    """The parts of a job's network that do not move in an epoch, counted from 1."""
    transfer, network = job.recipe.transfer, job.architecture
    if transfer is None or not transfer.freeze or isinstance(network, Foreign):
        return frozenset()
    return transfer.frozen(epoch, len(network.stages))


def freeze(network: nn.Module, still: frozenset[str]) -> None:
    """Let these parts alone not move: no gradients, and norms and what drops as in evaluation."""
    if not isinstance(network, Network):
        return
    for name, modules in part_modules(network).items():
        for module in modules:
            module.requires_grad_(name not in still)
            if name in still:
                module.eval()


def part_modules(network: Network) -> Mapping[str, tuple[nn.Module, ...]]:
    """What the parts of a network that ``recipe.transfer`` names consist of."""
    stages = ((stage,) for stage in network.stages)
    held = ((network.stem,), *stages, (network.final, network.head), (network.classifier,))
    return dict(zip(part_names(len(network.stages)), held, strict=True))


@cache
def training_macs(
    network: Architecture | Foreign, resolution: int, still: frozenset[str] = frozenset()
) -> float:
    """Multiply-adds of an image's forward pass at a resolution; those of a frozen beginning, which
    has no backward pass, as the third that they are of a step."""
    whole = replace(network, resolution=resolution)
    macs = float(cost(whole).macs)
    if not still or isinstance(whole, Foreign):
        return macs
    names = part_names(len(whole.stages))
    moving = next(place for place, name in enumerate(names) if name not in still)
    if moving == 0:
        return macs
    return macs - _first_macs(whole, moving) * 2 / 3


def _first_macs(network: Architecture, count: int) -> float:
    """Multiply-adds of a network's first parts, so many."""
    head = count == len(network.stages) + 2
    stages = network.stages[: count - 1]
    if not stages:  # an architecture has at least one; the stem alone reads and writes once
        side = -(-network.resolution // network.stem_stride)
        taps = network.stem_kernel**2 * network.in_channels
        return float(taps * network.stem * side**2)
    part = replace(
        network,
        stages=stages,
        num_classes=1,
        head=network.head if head else 0,
        head_pooled=network.head_pooled and head,
        exact_widths=(),
    )
    return float(cost(part).macs - part.features)


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}


def _some(names: Sequence[str]) -> str:
    """The first names of a list."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
