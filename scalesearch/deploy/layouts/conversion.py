"""Conversion of weights between our networks and the layouts of other libraries.

An imported network gives the same logits as in its library, and an exported one gives ours there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from scalesearch.architectures.stages import Architecture
from scalesearch.data.augmentation.geometry import IMAGENET_MEAN, IMAGENET_STD
from scalesearch.data.preparation import Preparation
from scalesearch.deploy.layouts.keras_weights import (
    Statistics,
    with_layer_names,
    without_normalisation,
)
from scalesearch.deploy.layouts.known_layouts import (
    KERAS_LAYOUT,
    LAYOUTS,
    TIMM_LAYOUT,
    TIMM_TF_LAYOUT,
)
from scalesearch.deploy.layouts.layout import BATCH_COUNTER, Layout, TensorPair, tensor_pairs
from scalesearch.deploy.layouts.weight_files import (
    LayoutState,
    read_layout_state,
    unwrap_state_dict,
)
from scalesearch.errors import ExportError, WeightsError
from scalesearch.io import write_bytes
from scalesearch.models.named import EFFICIENTNET_NAMES, published_network
from scalesearch.models.network import Network, NetworkOptions, build_model
from scalesearch.training.network_file import (
    METADATA_KEY,
    SavedNetwork,
    Shape,
    require_same_tensors,
)

DATA_DEPENDENT_TENSORS = ("stem.conv.weight", "classifier.weight", "classifier.bias")
"""Tensors whose shapes follow the images and the classes."""


def network_from_tensors(
    where: str,
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    layout: Layout,
    options: NetworkOptions,
) -> Network:
    """Build the network with these tensors, in evaluation mode and single precision.

    Raises WeightsError if they are not the network's, or not finite.
    """
    tensor_table = [
        pair for pair in tensor_pairs(architecture, layout) if _is_present(pair, tensors)
    ]
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
        state[pair.our_name] = pair.tensor_name.from_layout(
            _require_finite(where, pair, tensors[pair.layout_name])
        )
    network.to_empty(device="cpu")
    network.load_state_dict(state)
    return network.eval()


def _is_present(pair: TensorPair, tensors: Mapping[str, Tensor]) -> bool:
    return not pair.is_optional or pair.layout_name in tensors


def _require_finite(where: str, pair: TensorPair, tensor: Tensor) -> Tensor:
    """Return a tensor in memory; it must hold real, finite numbers."""
    dtype = torch.int64 if pair.is_optional else torch.float32
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise WeightsError(f"{where}: {pair.layout_name}: need plain numbers, got {tensor.layout}")
    if tensor.is_complex() or not (pair.is_optional or tensor.is_floating_point()):
        raise WeightsError(f"{where}: {pair.layout_name}: need real numbers, got {tensor.dtype}")
    if not tensor.isfinite().all():
        raise WeightsError(
            f"{where}: {pair.layout_name}: need finite numbers, got others: its training "
            "diverged, or the file is damaged"
        )
    return tensor.detach().to(dtype)


def _mismatch_remedy(actual: Mapping[str, Shape], layout: Layout) -> str:
    """Text that names the network the tensors look like, if any."""
    for other in LAYOUTS.values():
        if other.signature_tensors != layout.signature_tensors and any(
            mark in actual for mark in other.signature_tensors
        ):
            return f"they look like those of layout {other.name}"
    for name in EFFICIENTNET_NAMES:
        table = [
            pair for pair in tensor_pairs(published_network(name), layout) if not pair.is_optional
        ]
        outer_tensors = {
            pair.layout_name for pair in table if pair.our_name in DATA_DEPENDENT_TENSORS
        }
        body_shapes = {
            pair.layout_name: pair.shape for pair in table if pair.layout_name not in outer_tensors
        }
        if all(actual.get(tensor) == shape for tensor, shape in body_shapes.items()) and not any(
            tensor not in body_shapes
            and tensor not in outer_tensors
            and not tensor.endswith(BATCH_COUNTER)
            for tensor in actual
        ):
            return f"they look like those of efficientnet_{name}"
    return "check the network, the layout and the file"


METADATA_PREFIX = "scalesearch."
"""Prefix of our metadata in files of other layouts."""


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
    """Import a file of weights, or a state dict, with its image preparation.

    ``architecture``: a published network's name, such as ``efficientnet_b0``, whose classes and
    image channels then follow the file; or an architecture, which follows the file if ``fit`` is
    set. ``layout``: one of ``LAYOUTS``; None recognises it by the tensors. ``norm_eps``: epsilon
    of all norms, if it is not the layout's own for this network. ``preparation``: by default the
    customary one, with image statistics from the network if it holds them, as Keras' do.

    Raises WeightsError for a file that cannot be read, is of no known layout, or of another
    network; then it names the tensors that are missing, unexpected and misshapen.
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
        preparation=preparation
        or _default_preparation(where, network, layout_spec, statistics, class_names),
        name=architecture if isinstance(architecture, str) else "",
        origin=f"{Path(where).name} ({layout_spec.source})",
    )


def architecture_for_tensors(
    architecture: Architecture, tensors: Mapping[str, Tensor], layout: Layout
) -> Architecture:
    """Return the architecture with the classes and image channels of the tensors."""
    outer_tensors = {
        "classifier.weight": ("num_classes", 2, 0),
        "stem.conv.weight": ("in_channels", 4, 1),
    }
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
    """Layout of that name, or the one that the tensors show."""
    name = name or state.metadata.get(f"{METADATA_PREFIX}layout")
    if name:
        if name not in LAYOUTS:
            raise WeightsError(f"layout {name!r}: need one of {', '.join(LAYOUTS)}")
        return LAYOUTS[name]
    matching = [
        layout
        for layout in LAYOUTS.values()
        if any(mark in state.tensors for mark in layout.signature_tensors)
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
        f"{where}: need the layout timm or timm-tf, got tensors that both have: efficientnet and "
        "tf_efficientnet differ in padding and norms; add --layout timm or timm-tf"
    )


def _network_options(
    where: str, state: LayoutState, architecture: Architecture, layout: Layout, eps: float | None
) -> NetworkOptions:
    norms = layout.norm_settings(architecture)
    try:
        return NetworkOptions(
            norm_eps=float(state.metadata.get(f"{METADATA_PREFIX}norm_eps", norms.eps))
            if eps is None
            else eps,
            norm_momentum=float(
                state.metadata.get(f"{METADATA_PREFIX}norm_momentum", norms.momentum)
            ),
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
    """Customary preparation; None for images of neither 1 nor 3 channels."""
    if class_names and len(class_names) != architecture.num_classes:
        raise WeightsError(
            f"{where}: need the names of {architecture.num_classes} classes, got "
            f"{len(class_names)}; one for each output, in their order"
        )
    channels, pixels = architecture.in_channels, architecture.resolution
    mean, std = statistics or (
        _channel_values(IMAGENET_MEAN, channels),
        _channel_values(IMAGENET_STD, channels),
    )
    if channels not in (1, 3) or len(mean) != channels:
        return None
    return Preparation(
        pixels=pixels,
        stored=layout.resize_to(pixels),
        zoom=layout.resize_to(pixels) / pixels,
        mean=mean,
        std=std,
        interpolation="bicubic",
        class_names=tuple(class_names),
    )


def _channel_values(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Values of the colour channels, or their mean for grey."""
    return values if channels != 1 else (sum(values) / len(values),)


def to_layout(network: Network, layout: str) -> dict[str, Tensor]:
    """Tensors of the network under the names of a layout, bit for bit.

    Raises ExportError for a network that the layout's library cannot build, or would build with
    other logits.
    """
    if layout not in LAYOUTS:
        raise ExportError(f"layout {layout!r}: need one of {', '.join(LAYOUTS)}")
    layout_spec = LAYOUTS[layout]
    for feature in unsupported_features(network, layout_spec):
        raise ExportError(
            f"layout {layout}: need a network that {layout_spec.source} can build, got {feature}; "
            "write it as safetensors or onnx, which hold every network"
        )
    state_dict = network.state_dict()
    return {
        pair.layout_name: pair.tensor_name.to_layout(
            state_dict[pair.our_name].detach().cpu()
        ).clone()
        for pair in tensor_pairs(network.architecture, layout_spec)
    }


def export_weights(path: str | Path, network: Network, layout: str) -> Path:
    """Write those tensors to a safetensors file that states the settings of its norms.

    ``import_weights`` reads it back exactly. Raises ExportError as ``to_layout`` does, and if the
    file cannot be written.
    """
    path, tensors = Path(path), to_layout(network, layout)
    metadata = {
        "format": "pt",
        f"{METADATA_PREFIX}layout": layout,
        f"{METADATA_PREFIX}norm_eps": repr(network.options.norm_eps),
        f"{METADATA_PREFIX}norm_momentum": repr(network.options.norm_momentum),
    }
    try:
        write_bytes(path, save(tensors, metadata))
    except OSError as error:
        raise ExportError(
            f"{path}: cannot be written: {error.strerror or error}; choose another path"
        ) from error
    return path


def verify_exported_weights(path: Path, network: Network) -> Network:
    """Read such a file back. Raises ExportError if it is not the network written."""
    reread_network = import_weights(path, network.architecture).network
    assert isinstance(reread_network, Network)
    reread_state, state = reread_network.state_dict(), network.state_dict()
    differing = [name for name in state if not reread_state[name].equal(state[name].cpu())]
    options = reread_network.options, network.options
    for name in ("norm_eps", "norm_momentum", "padding"):
        differing += [name] if len({getattr(option, name) for option in options}) > 1 else []
    if differing:
        path.unlink()
        raise ExportError(f"{path}: read back, it differs in {', '.join(differing[:8])}")
    return reread_network


def unsupported_features(network: Network, layout: Layout) -> Iterator[str]:
    """Features of a network that the layout's library cannot build."""
    architecture = network.architecture
    if network.options.padding != layout.padding:
        yield f"padding {network.options.padding} where it has {layout.padding}"
    if architecture.stem_stride != 2:
        yield f"a stem of stride {architecture.stem_stride} where it has 2"
    if architecture.stem_pool != 1:
        yield "a pool behind the stem"
    if layout.activations and architecture.activation not in layout.activations:
        yield f"the activation {architecture.activation}"
    for number, stage in enumerate(architecture.stages, start=1):
        if stage.stride > 2:
            yield f"a stride of {stage.stride} in stage {number} where it has 1 or 2"
        if stage.activation not in ("", architecture.activation):
            yield f"an activation of its own in stage {number}: {stage.activation}"
