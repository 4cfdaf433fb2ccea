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
from scalesearch.nets import Options
from scalesearch.weights.layouts.conversion import loaded
from scalesearch.weights.layouts.files import State, read_state
from scalesearch.weights.layouts.keras_names import Statistics, with_names, without_normalisation
from scalesearch.weights.layouts.layout import Layout, pairs
from scalesearch.weights.layouts.members import published_network
from scalesearch.weights.layouts.table import KERAS, LAYOUTS, TIMM, TIMM_TF
from scalesearch.weights.layouts.unwrapped import unwrapped
from scalesearch.weights.network_file import KEY, Saved
from scalesearch.weights.preparation import Preparation

FACT = "scalesearch."
"""What a file of ours in another layout says about itself begins so (see ``exporting``)."""


def imported(
    source: str | Path | Mapping[str, Tensor],
    architecture: str | Architecture,
    layout: str | None = None,
    *,
    fit: bool = False,
    norm_eps: float | None = None,
    preparation: Preparation | None = None,
    class_names: Sequence[str] = (),
) -> Saved:
    """A file of weights, or a state dict, as a network of ours, and how images are prepared for it.

    ``architecture``: a published network's name, such as ``efficientnet_b0``, whose classes and
    image channels then follow the file; or an architecture, where they do so if ``fit`` says so.
    ``layout``: one of ``LAYOUTS``; None knows it by the tensors. ``norm_eps``: of all norms, where
    it is not what the layout's library gives this network. ``preparation``: by default what is
    customary, with the statistics of images where the network holds them, as Keras' do.

    Raises WeightsError for a file that cannot be read, is of no known layout, or of another
    network: that one names the tensors that are missing, unexpected and misshapen.
    """
    where, state = _state(source)
    chosen = _layout(where, state, layout, f"{architecture} {where}")
    network = published_network(architecture) if isinstance(architecture, str) else architecture
    tensors, statistics = state.tensors, None
    if chosen is KERAS:
        named = with_names(tensors, network, chosen)
        tensors, statistics = without_normalisation(where, named)
    if fit or isinstance(architecture, str):
        network = fitted(network, tensors, chosen)
    options = _options(where, state, network, chosen, norm_eps)
    return Saved(
        network=loaded(where, tensors, network, chosen, options),
        architecture=network,
        preparation=preparation or _customary(where, network, chosen, statistics, class_names),
        name=architecture if isinstance(architecture, str) else "",
        origin=f"{Path(where).name} ({chosen.source})",
    )


def fitted(
    architecture: Architecture, tensors: Mapping[str, Tensor], layout: Layout
) -> Architecture:
    """The architecture with as many classes and image channels as the tensors have."""
    ends = {"classifier.weight": ("num_classes", 2, 0), "stem.conv.weight": ("in_channels", 4, 1)}
    changes: dict[str, Any] = {}
    for pair in pairs(architecture, layout):
        if pair.ours in ends and pair.theirs in tensors:
            name, axes, axis = ends[pair.ours]
            tensor = tensors[pair.theirs]
            if tensor.dim() == axes:
                changes[name] = max(1, pair.spelling.ours(tensor).shape[axis])
    return replace(architecture, **changes)


def _state(source: str | Path | Mapping[str, Tensor]) -> tuple[str, State]:
    if isinstance(source, str | Path):
        return str(source), read_state(source)
    return "state dict", State(unwrapped(source, "state dict"))


def _layout(where: str, state: State, name: str | None, hints: str) -> Layout:
    """The layout of that name, or the one that the tensors tell."""
    name = name or state.facts.get(f"{FACT}layout")
    if name:
        if name not in LAYOUTS:
            raise WeightsError(f"layout {name!r}: need one of {', '.join(LAYOUTS)}")
        return LAYOUTS[name]
    found = [
        layout for layout in LAYOUTS.values() if any(mark in state.tensors for mark in layout.marks)
    ]
    if len(found) == 1:
        return found[0]
    if not found and KEY in state.facts:
        raise WeightsError(
            f"{where}: need the tensors of another library, got a network file of ours; it needs "
            "no import, use it as it is"
        )
    if not found:
        some = ", ".join(list(state.tensors)[:4])
        raise WeightsError(
            f"{where}: need the tensors of a layout of {', '.join(LAYOUTS)}, got "
            f"{len(state.tensors)} such as {some}; name the --layout to see what is missing"
        )
    if re.search(r"tf[-_]efficientnet", hints):
        return TIMM_TF
    if re.search(r"(^|[^a-z_-])efficientnet(v2)?[-_]?\w", Path(where).name):
        return TIMM
    raise WeightsError(
        f"{where}: need to know whether it is timm's efficientnet or its tf_efficientnet, which "
        "have the same tensors and pad and normalise otherwise; add --layout timm or timm-tf"
    )


def _options(
    where: str, state: State, architecture: Architecture, layout: Layout, eps: float | None
) -> Options:
    norms = layout.norms(architecture)
    try:
        return Options(
            norm_eps=float(state.facts.get(f"{FACT}norm_eps", norms.eps)) if eps is None else eps,
            norm_momentum=float(state.facts.get(f"{FACT}norm_momentum", norms.momentum)),
            padding=layout.padding,
        )
    except ValueError as error:
        raise WeightsError(f"{where}: norms: {error}") from error


def _customary(
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
    mean, std = statistics or (_of(IMAGENET_MEAN, channels), _of(IMAGENET_STD, channels))
    if channels not in (1, 3) or len(mean) != channels:
        return None
    return Preparation(
        pixels=pixels,
        stored=layout.stored(pixels),
        zoom=layout.stored(pixels) / pixels,
        mean=mean,
        std=std,
        interpolation="bicubic",
        class_names=tuple(class_names),
    )


def _of(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Those of colours, or of grey their mean."""
    return values if channels != 1 else (sum(values) / len(values),)
