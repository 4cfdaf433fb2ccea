"""Transfer: training from pretrained weights, with frozen parts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.transfer_spec import Transfer, part_names
from scalesearch.errors import WeightsError
from scalesearch.models.network import Network, NetworkOptions
from scalesearch.training.job import InitialWeights
from scalesearch.training.network_file import (
    SavedNetwork,
    read_network,
    require_same_tensors,
    weights_hash,
)

STEM_WEIGHT = "stem.conv.weight"
FREE_FIELDS = ("resolution", "stem_stride", "in_channels", "num_classes")
"""Architecture fields that affect no weights but those adapted here."""


def read_initial_weights(weights: InitialWeights) -> SavedNetwork:
    """Read the network that a job starts from.

    Raises WeightsError for a file that cannot be read or whose weights have changed.
    """
    saved_network = read_network(weights.path)
    if (current_hash := weights_hash(saved_network.network)) != weights.weights_hash:
        raise WeightsError(
            f"{weights.path}: need the weights that the run was planned with "
            f"({weights.weights_hash}), got others ({current_hash}); restore the file, or train in "
            "another folder"
        )
    return saved_network


def require_same_architecture(
    saved_network: SavedNetwork, network: Architecture | CustomModel, where: str
) -> None:
    """Raise WeightsError if a network is not that of a file.

    Only its resolution, stem stride, image channels and classes may differ.
    """
    saved_architecture = saved_network.architecture
    if isinstance(saved_architecture, CustomModel) or isinstance(network, CustomModel):
        custom_model = (
            saved_architecture if isinstance(saved_architecture, CustomModel) else network
        )
        raise WeightsError(
            f"{where}: need a network with a known classifier and known stages, got the custom "
            f"model {custom_model}; write its stages as YAML"
        )
    if (
        replace(saved_architecture, **{name: getattr(network, name) for name in FREE_FIELDS})
        != network
    ):
        raise WeightsError(
            f"{where}: need the file's own network, where only resolution and stem stride may "
            "change, got another; leave --width and --depth out"
        )


def require_classes(saved_network: SavedNetwork, class_names: Sequence[str], where: str) -> None:
    """Raise WeightsError if a kept classifier is not for these classes in this order.

    For a file without class names only their number is compared.
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
        difference = f"got {'; '.join(changes)}" if changes else "got another order"
    raise WeightsError(
        f"{where}: need the classes of the file to keep its classifier, {difference}; train a new "
        "one (--head new)"
    )


def computation_options(saved_network: SavedNetwork) -> dict[str, Any]:
    """Return the options of ``build_model`` that a file's weights were trained with."""
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
    """Copy the weights of a trained network into an initialised one.

    A new classifier keeps its initial weights; the stem is adapted to the images' channels.
    Raises WeightsError, with names, for tensors that do not fit.
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
    """Adapt the stem's weights (O, I, k, k) to images of another number of channels.

    From colour to grey: a grey image as colour has equal channels, so the sum of the weights gives
    the output of the colour stem. From grey to colour: each channel takes an equal share of the
    grey weight, so grey images as colour give the same output as before. Both hold if all
    channels are normalised equally. timm's ``adapt_input_conv`` does the same
    (github.com/huggingface/pytorch-image-models, timm/models/_manipulate.py).

    Raises WeightsError for numbers of channels other than 1 and the stem's own.
    """
    stem_channels = weight.shape[1]
    if channels == stem_channels:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    if stem_channels == 1:
        return weight.expand(-1, channels, -1, -1) / channels
    raise WeightsError(
        f"{where}: need images of {stem_channels} channels, or of 1, got images of {channels}; "
        "convert them, or train without pretrained weights"
    )


def freeze_parts(network: nn.Module, frozen_names: frozenset[str]) -> None:
    """Freeze exactly these parts: no gradients, and evaluation mode."""
    if not isinstance(network, Network):
        return
    for name, modules in part_modules(network).items():
        for module in modules:
            module.requires_grad_(name not in frozen_names)
            if name in frozen_names:
                module.eval()


def part_modules(network: Network) -> Mapping[str, tuple[nn.Module, ...]]:
    """Return the modules of each part that ``recipe.transfer`` can name."""
    stages = ((stage,) for stage in network.stages)
    modules = ((network.stem,), *stages, (network.final, network.head), (network.classifier,))
    return dict(zip(part_names(len(network.stages)), modules, strict=True))


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}


def _first_names(names: Sequence[str]) -> str:
    """Return the first five names of a list as text."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
