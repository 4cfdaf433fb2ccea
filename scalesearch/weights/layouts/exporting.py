"""A network of ours in the layout of another library, to be loaded there."""

from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from scalesearch.errors import ExportError
from scalesearch.files import write_bytes
from scalesearch.nets import Network
from scalesearch.weights.layouts.importing import METADATA_PREFIX, import_weights
from scalesearch.weights.layouts.layout import Layout, tensor_pairs
from scalesearch.weights.layouts.table import LAYOUTS


def to_layout(network: Network, layout: str) -> dict[str, Tensor]:
    """The network's tensors under the names of a layout: copies, of which not a bit is changed.

    Raises ExportError for a network that the layout's library builds in no way, or would build so
    that it gives other logits.
    """
    if layout not in LAYOUTS:
        raise ExportError(f"layout {layout!r}: need one of {', '.join(LAYOUTS)}")
    layout_spec = LAYOUTS[layout]
    for feature in unsupported_features(network, layout_spec):
        raise ExportError(
            f"layout {layout}: need a network that {layout_spec.source} can be, got {feature}; write it "
            "as safetensors or onnx, which hold every network"
        )
    state_dict = network.state_dict()
    return {
        pair.layout_name: pair.tensor_name.to_layout(state_dict[pair.our_name].detach().cpu()).clone()
        for pair in tensor_pairs(network.architecture, layout_spec)
    }


def export_weights(path: str | Path, network: Network, layout: str) -> Path:
    """Write those tensors to a safetensors file, which says what its norms are built with.

    ``imported`` reads it back exactly. Raises ExportError as ``exported`` does, and where nothing
    can be written.
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
            f"{path}: cannot be written: {error.strerror or error}; choose another place"
        ) from error
    return path


def verify_exported_weights(path: Path, network: Network) -> Network:
    """The network that such a file holds. Raises ExportError if it is not the network written."""
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
    """What the layout's library cannot build of a network, and its tensors do not show."""
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
