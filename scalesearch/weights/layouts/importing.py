"""Other people's weights in a network of ours, which then gives the same logits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from scalesearch.architectures import Architecture
from scalesearch.data.augment.view import IMAGENET_MEAN, IMAGENET_STD
from scalesearch.errors import WeightsError
from scalesearch.nets import NetworkOptions
from scalesearch.weights.layouts.conversion import network_from_tensors
from scalesearch.weights.layouts.files import LayoutState, read_layout_state
from scalesearch.weights.layouts.keras_names import Statistics, with_layer_names, without_normalisation
from scalesearch.weights.layouts.layout import Layout, tensor_pairs
from scalesearch.weights.layouts.members import published_network
from scalesearch.weights.layouts.table import KERAS_LAYOUT, LAYOUTS, TIMM_LAYOUT, TIMM_TF_LAYOUT
from scalesearch.weights.layouts.unwrapped import unwrap_state_dict
from scalesearch.weights.network_file import METADATA_KEY, SavedNetwork
from scalesearch.weights.preparation import Preparation

METADATA_PREFIX = "scalesearch."
"""What a file of ours in another layout says about itself begins so (see ``exporting``)."""


def import_weights(
    source: str | Path | Mapping[str, Tensor],
    architecture: str | Architecture,
    layout: str | None = None,
    *,
    fit: bool = False,
    norm_eps: float | None = None,
    preparation: Preparation | None = None,
    class_names: Sequence[str] = (),
) -> SavedNetwork:
    """A file of weights, or a state dict, as a network of ours, and how images are prepared for it.

    ``architecture``: a published network's name, such as ``efficientnet_b0``, whose classes and
    image channels then follow the file; or an architecture, where they do so if ``fit`` says so.
    ``layout``: one of ``LAYOUTS``; None knows it by the tensors. ``norm_eps``: of all norms, where
    it is not what the layout's library gives this network. ``preparation``: by default what is
    customary, with the statistics of images where the network holds them, as Keras' do.

    Raises WeightsError for a file that cannot be read, is of no known layout, or of another
    network: that one names the tensors that are missing, unexpected and misshapen.
    """
    where, state = _read_source(source)
    layout_spec = _find_layout(where, state, layout, f"{architecture} {where}")
    network = published_network(architecture) if isinstance(architecture, str) else architecture
    tensors, statistics = state.tensors, None
    if layout_spec is KERAS_LAYOUT:
        named_tensors = with_layer_names(tensors, network, layout_spec)
        tensors, statistics = without_normalisation(where, named_tensors)
    if fit or isinstance(architecture, str):
        network = architecture_for_tensors(network, tensors, layout_spec)
    options = _network_options(where, state, network, layout_spec, norm_eps)
    return SavedNetwork(
        network=network_from_tensors(where, tensors, network, layout_spec, options),
        architecture=network,
        preparation=preparation or _default_preparation(where, network, layout_spec, statistics, class_names),
        name=architecture if isinstance(architecture, str) else "",
        origin=f"{Path(where).name} ({layout_spec.source})",
    )


def architecture_for_tensors(
    architecture: Architecture, tensors: Mapping[str, Tensor], layout: Layout
) -> Architecture:
    """The architecture with as many classes and image channels as the tensors have."""
    outer_tensors = {"classifier.weight": ("num_classes", 2, 0), "stem.conv.weight": ("in_channels", 4, 1)}
    changes: dict[str, Any] = {}
    for pair in tensor_pairs(architecture, layout):
        if pair.our_name in outer_tensors and pair.layout_name in tensors:
            name, axes, axis = outer_tensors[pair.our_name]
            tensor = tensors[pair.layout_name]
            if tensor.dim() == axes:
                changes[name] = max(1, pair.tensor_name.from_layout(tensor).shape[axis])
    return replace(architecture, **changes)


def _read_source(source: str | Path | Mapping[str, Tensor]) -> tuple[str, LayoutState]:
    if isinstance(source, str | Path):
        return str(source), read_layout_state(source)
    return "state dict", LayoutState(unwrap_state_dict(source, "state dict"))


def _find_layout(where: str, state: LayoutState, name: str | None, hints: str) -> Layout:
    """The layout of that name, or the one that the tensors tell."""
    name = name or state.metadata.get(f"{METADATA_PREFIX}layout")
    if name:
        if name not in LAYOUTS:
            raise WeightsError(f"layout {name!r}: need one of {', '.join(LAYOUTS)}")
        return LAYOUTS[name]
    matching = [
        layout for layout in LAYOUTS.values() if any(mark in state.tensors for mark in layout.signature_tensors)
    ]
    if len(matching) == 1:
        return matching[0]
    if not matching and METADATA_KEY in state.metadata:
        raise WeightsError(
            f"{where}: need the tensors of another library, got a network file of ours; it needs "
            "no import, use it as it is"
        )
    if not matching:
        first_names = ", ".join(list(state.tensors)[:4])
        raise WeightsError(
            f"{where}: need the tensors of a layout of {', '.join(LAYOUTS)}, got "
            f"{len(state.tensors)} such as {first_names}; name the --layout to see what is missing"
        )
    if re.search(r"tf[-_]efficientnet", hints):
        return TIMM_TF_LAYOUT
    if re.search(r"(^|[^a-z_-])efficientnet(v2)?[-_]?\w", Path(where).name):
        return TIMM_LAYOUT
    raise WeightsError(
        f"{where}: need to know whether it is timm's efficientnet or its tf_efficientnet, which "
        "have the same tensors and pad and normalise otherwise; add --layout timm or timm-tf"
    )


def _network_options(
    where: str, state: LayoutState, architecture: Architecture, layout: Layout, eps: float | None
) -> NetworkOptions:
    norms = layout.norm_settings(architecture)
    try:
        return NetworkOptions(
            norm_eps=float(state.metadata.get(f"{METADATA_PREFIX}norm_eps", norms.eps)) if eps is None else eps,
            norm_momentum=float(state.metadata.get(f"{METADATA_PREFIX}norm_momentum", norms.momentum)),
            padding=layout.padding,
        )
    except ValueError as error:
        raise WeightsError(f"{where}: norms: {error}") from error


def _default_preparation(
    where: str,
    architecture: Architecture,
    layout: Layout,
    statistics: Statistics | None,
    class_names: Sequence[str],
) -> Preparation | None:
    """How images are usually prepared; None for those of neither 1 nor 3 channels."""
    if class_names and len(class_names) != architecture.num_classes:
        raise WeightsError(
            f"{where}: need the names of {architecture.num_classes} classes, got "
            f"{len(class_names)}; one for each output, in their order"
        )
    channels, pixels = architecture.in_channels, architecture.resolution
    mean, std = statistics or (_channel_values(IMAGENET_MEAN, channels), _channel_values(IMAGENET_STD, channels))
    if channels not in (1, 3) or len(mean) != channels:
        return None
    return Preparation(
        pixels=pixels,
        resize_pixels=layout.resize_to(pixels),
        zoom=layout.resize_to(pixels) / pixels,
        mean=mean,
        std=std,
        interpolation="bicubic",
        class_names=tuple(class_names),
    )


def _channel_values(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Those of colours, or of grey their mean."""
    return values if channels != 1 else (sum(values) / len(values),)
