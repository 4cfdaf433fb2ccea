"""Training that goes on from a trained network: whose weights are taken over, and what moves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.transfer_spec import Transfer, part_names
from scalesearch.errors import WeightsError
from scalesearch.models.network import Network, NetworkOptions
from scalesearch.training.job import InitialWeights, TrainingJob
from scalesearch.training.network_file import (
    SavedNetwork,
    read_network,
    require_same_tensors,
    weights_hash,
)

STEM_WEIGHT = "stem.conv.weight"
FREE_FIELDS = ("resolution", "stem_stride", "in_channels", "num_classes")
"""Fields of an architecture on which no weight depends but those that are adapted here."""


def read_initial_weights(weights: InitialWeights) -> SavedNetwork:
    """The network of a file that a job starts from.

    Raises WeightsError for a file that cannot be read, or that has other weights by now.
    """
    saved_network = read_network(weights.path)
    if (current_hash := weights_hash(saved_network.network)) != weights.weights_hash:
        raise WeightsError(
            f"{weights.path}: need the weights that the run was planned with ({weights.weights_hash}), "
            f"got others ({current_hash}); put the file back, or train in another folder"
        )
    return saved_network


def require_same_architecture(
    saved_network: SavedNetwork, network: Architecture | CustomModel, where: str
) -> None:
    """Raise WeightsError where a network is not the one of a file, whose resolution, stem stride,
    image channels and classes alone may differ."""
    saved_architecture = saved_network.architecture
    if isinstance(saved_architecture, CustomModel) or isinstance(network, CustomModel):
        custom_model = (
            saved_architecture if isinstance(saved_architecture, CustomModel) else network
        )
        raise WeightsError(
            f"{where}: need a network as data, whose classifier and stages are known, got {custom_model}, "
            "which code makes; write its stages as YAML"
        )
    if (
        replace(saved_architecture, **{name: getattr(network, name) for name in FREE_FIELDS})
        != network
    ):
        raise WeightsError(
            f"{where}: need the file's own network, of which the resolution and the stem's stride "
            "alone may change, got another; leave --width and --depth out"
        )


def require_classes(saved_network: SavedNetwork, class_names: Sequence[str], where: str) -> None:
    """Raise WeightsError where a classifier that is kept is not for these classes, in this order.

    Of a file that does not know its classes' names, their number has to do.
    """
    saved_names = saved_network.preparation.class_names if saved_network.preparation else ()
    count = saved_network.architecture.num_classes
    if tuple(saved_names) == tuple(class_names) or (not saved_names and count == len(class_names)):
        return
    difference = f"got {len(class_names)} classes instead of {count}"
    if saved_names:
        missing = [name for name in saved_names if name not in class_names]
        added = [name for name in class_names if name not in saved_names]
        changes = [
            f"{label} {_first_names(names)}"
            for label, names in (("no", missing), ("new", added))
            if names
        ]
        difference = f"got {'; '.join(changes)}" if changes else "got them in another order"
    raise WeightsError(
        f"{where}: need the classes of the file to keep its classifier, {difference}; train a new one "
        "(--head new)"
    )


def computation_options(saved_network: SavedNetwork) -> dict[str, Any]:
    """The options of ``build`` by which a network computes what its weights were trained for."""
    options = (
        saved_network.network.options
        if isinstance(saved_network.network, Network)
        else NetworkOptions()
    )
    return {"norm_eps": options.norm_eps, "padding": options.padding}


@torch.no_grad()
def load_pretrained_weights(
    network: Network, saved_network: SavedNetwork, transfer: Transfer, where: str
) -> None:
    """Fill the network, which has its first weights, with those of a trained one.

    Of a new classifier nothing is taken; the stem is adapted to the images' channels.
    Raises WeightsError where tensors do not fit, naming them.
    """
    saved_state = {
        name: tensor
        for name, tensor in saved_network.network.state_dict().items()
        if transfer.classifier == "keep" or not name.startswith("classifier.")
    }
    saved_state[STEM_WEIGHT] = adapted_stem_weight(
        saved_state[STEM_WEIGHT], network.architecture.in_channels, where
    )
    own_state = network.state_dict()
    expected_state = own_state if transfer.classifier == "keep" else _without_classifier(own_state)
    require_same_tensors(
        where,
        {name: tuple(tensor.shape) for name, tensor in expected_state.items()},
        {name: tuple(tensor.shape) for name, tensor in saved_state.items()},
        "train a new classifier (--head new), or start from another file",
    )
    for name, tensor in saved_state.items():
        own_state[name].copy_(tensor)


def adapted_stem_weight(weight: Tensor, channels: int, where: str = "stem") -> Tensor:
    """The stem's weights (O, I, k, k) for images of so many channels.

    Grey images seen as colour have the same value in all channels, so the sum over them answers as
    the colour stem does; the other way each colour takes its part of the grey weight, so that grey
    images in colour are answered as before. Both hold where the channels are normalised alike.
    So does timm's ``adapt_input_conv``
    (github.com/huggingface/pytorch-image-models, timm/models/_manipulate.py).

    Raises WeightsError for other numbers of channels than 1 and the stem's own.
    """
    stem_channels = weight.shape[1]
    if channels == stem_channels:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    if stem_channels == 1:
        return weight.expand(-1, channels, -1, -1) / channels
    raise WeightsError(
        f"{where}: need images of {stem_channels} channels, or of 1, got images of {channels}; prepare them "
        "so, or train from the beginning"
    )


def frozen_parts(job: TrainingJob, epoch: int) -> frozenset[str]:
    """The parts of a job's network that do not move in an epoch, counted from 1."""
    transfer, network = job.recipe.transfer, job.architecture
    if transfer is None or not transfer.freeze or isinstance(network, CustomModel):
        return frozenset()
    return transfer.frozen_parts(epoch, len(network.stages))


def freeze_parts(network: nn.Module, frozen_names: frozenset[str]) -> None:
    """Let these parts alone not move: no gradients, and norms and what drops as in evaluation."""
    if not isinstance(network, Network):
        return
    for name, modules in part_modules(network).items():
        for module in modules:
            module.requires_grad_(name not in frozen_names)
            if name in frozen_names:
                module.eval()


def part_modules(network: Network) -> Mapping[str, tuple[nn.Module, ...]]:
    """What the parts of a network that ``recipe.transfer`` names consist of."""
    stages = ((stage,) for stage in network.stages)
    modules = ((network.stem,), *stages, (network.final, network.head), (network.classifier,))
    return dict(zip(part_names(len(network.stages)), modules, strict=True))


@cache
def training_macs(
    network: Architecture | CustomModel, resolution: int, frozen_names: frozenset[str] = frozenset()
) -> float:
    """Multiply-adds of an image's forward pass at a resolution; those of a frozen beginning, which
    has no backward pass, as the third that they are of a step."""
    network_at_resolution = replace(network, resolution=resolution)
    macs = float(cost(network_at_resolution).macs)
    if not frozen_names or isinstance(network_at_resolution, CustomModel):
        return macs
    names = part_names(len(network_at_resolution.stages))
    first_trained = next(index for index, name in enumerate(names) if name not in frozen_names)
    if first_trained == 0:
        return macs
    return macs - _leading_macs(network_at_resolution, first_trained) * 2 / 3


def _leading_macs(network: Architecture, count: int) -> float:
    """Multiply-adds of a network's first parts, so many."""
    has_head = count == len(network.stages) + 2
    stages = network.stages[: count - 1]
    if not stages:  # an architecture has at least one; the stem alone reads and writes once
        side = -(-network.resolution // network.stem_stride)
        taps = network.stem_kernel**2 * network.in_channels
        return float(taps * network.stem * side**2)
    truncated = replace(
        network,
        stages=stages,
        num_classes=1,
        head=network.head if has_head else 0,
        head_pooled=network.head_pooled and has_head,
        exact_widths=(),
    )
    return float(cost(truncated).macs - truncated.num_features)


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}


def _first_names(names: Sequence[str]) -> str:
    """The first names of a list."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
