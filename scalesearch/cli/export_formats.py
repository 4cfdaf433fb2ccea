"""Networks that a command writes as code: with their weights, or from a description alone.

What ``scalesearch export`` is asked for, and the forms of networks with weights.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scalesearch.api.network_sources import read_baseline
from scalesearch.errors import ExportError

if TYPE_CHECKING:
    from scalesearch.deploy.export.parity import Parity
    from scalesearch.deploy.export.sample_images import ImageSet
    from scalesearch.deploy.export.standalone.files import Exportable
    from scalesearch.training.network_file import SavedNetwork


def read_exportables(source: str) -> "list[Exportable]":
    """Of NETWORK: a .safetensors file, all members of FAMILY.json or one (FAMILY.json:b2), a
    search's network (FOLDER:best), or a baseline's name. Raises what their readers raise.
    """
    from scalesearch.deploy.export.standalone.files import Exportable
    from scalesearch.models.network import Network, NetworkOptions
    from scalesearch.training.network_file import read_network

    path = Path(source)
    if path.suffix == ".safetensors":
        saved_network = read_network(path)
        options = (
            saved_network.network.options
            if isinstance(saved_network.network, Network)
            else NetworkOptions()
        )
        return [
            Exportable(
                to_file_name(saved_network.name or path.stem),
                saved_network.architecture,
                options,
                saved_network,
            )
        ]
    from scalesearch.deploy.networks import (
        ReferencedNetwork,
        family_networks,
        is_network_reference,
        network_from_reference,
    )

    if path.suffix == ".json":
        networks = family_networks(path)
    elif is_network_reference(source):
        networks = [network_from_reference(source)]
    else:
        network = read_baseline(source)
        networks = [ReferencedNetwork(path.stem, network, network)]
    return [
        Exportable(
            to_file_name(network_entry.name),
            network_entry.network,
            NetworkOptions(dropout=network_entry.dropout, drop_connect=network_entry.drop_connect),
        )
        for network_entry in networks
    ]


def to_file_name(text: str) -> str:
    """A text that can name a file."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-_") or "network"


# The parts of scalesearch are imported within the functions: help has no use for torch.


@dataclass(frozen=True)
class ExportRequest:
    """What is to be exported. ``source``: NETWORK as it was written; ``out``: the folder for it;
    ``data``: images for the formats that measure or train with some, and of how many of them;
    ``allow_code``: of ``module:factory``; ``epochs``: of quantisation-aware training.
    """

    source: str
    out: Path
    data: str | None = None
    allow_code: bool = False
    train_samples: int | None = None
    validation_samples: int | None = None
    seed: int = 0
    epochs: int = 2

    @cached_property
    def saved_network(self) -> "SavedNetwork":
        """The network with its weights. Raises ExportError where NETWORK is no file of weights."""
        from scalesearch.training.network_file import read_network

        if Path(self.source).suffix != ".safetensors":
            raise ExportError(
                f"{self.source}: this format needs weights, got a network without any; name a "
                ".safetensors file, as `scalesearch train` writes it"
            )
        return read_network(Path(self.source))

    @cached_property
    def image_set(self) -> "ImageSet | None":
        """The images of ``data`` as the network is shown them; None where there are none."""
        if self.data is None:
            return None
        from scalesearch.config.experiment import DataSpec
        from scalesearch.deploy.export.sample_images import load_image_set
        from scalesearch.reporting.terminal.display import show_images

        spec = DataSpec(
            source=self.data,
            train_samples=self.train_samples,
            validation_samples=self.validation_samples,
        )
        with show_images() as on_data:
            return load_image_set(self.saved_network, spec, self.seed, on_data)

    @cached_property
    def float_onnx_model(self) -> Any:
        """The network as an ONNX model, for each format that begins with it."""
        from scalesearch.deploy.export.onnx_files import float_model

        return float_model(self.saved_network)

    def require_image_set(self, format_name: str, purpose: str) -> "ImageSet":
        """The same, for a format that cannot do without. Raises ExportError where there are
        none."""
        if self.image_set is None:
            raise ExportError(f"--format {format_name}: need images {purpose}; give --data SOURCE")
        return self.image_set

    @property
    def name(self) -> str:
        """What its files are called."""
        return to_file_name(self.saved_network.name or Path(self.source).stem)

    def path(self, suffix: str) -> Path:
        """Where the file with such an ending goes."""
        return self.out / f"{self.name}{suffix}"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that an export left, and what there is to say of it, in a few words."""

    path: Path
    message: str = ""


ExportFormat: TypeAlias = Callable[[ExportRequest], Sequence[ExportedFile]]


def export_safetensors(request: ExportRequest) -> list[ExportedFile]:
    """Our own format: one file that is the whole network."""
    from scalesearch.training.network_file import read_network, write_network

    saved_network, path = request.saved_network, request.path(".safetensors")
    write_network(
        path,
        saved_network.network,
        saved_network.preparation,
        architecture=saved_network.architecture,
        name=saved_network.name,
        origin=saved_network.origin,
    )
    read_network(path)
    return [ExportedFile(path, "opened again")]


def export_torchvision(request: ExportRequest) -> list[ExportedFile]:
    """Tensors as torchvision's EfficientNet names them."""
    return [_export_layout(request, "torchvision")]


def export_timm(request: ExportRequest) -> list[ExportedFile]:
    """Tensors as timm's EfficientNet names them; it has both ways to pad."""
    options = getattr(request.saved_network.network, "options", None)
    return [_export_layout(request, "timm-tf" if options and options.padding == "same" else "timm")]


def _export_layout(request: ExportRequest, layout: str) -> ExportedFile:
    """One file, read back and compared bit by bit, of a network that the library can build."""
    from scalesearch.deploy.export.standalone.timm_script import timm_script_text
    from scalesearch.deploy.export.standalone.torchvision_script import torchvision_script_text
    from scalesearch.deploy.layouts.conversion import export_weights, verify_exported_weights
    from scalesearch.models.network import Network

    network = request.saved_network.network
    if not isinstance(network, Network):
        raise ExportError(f"{request.source}: layout {layout}: need a network as data, got code")
    script_text_function = torchvision_script_text if layout == "torchvision" else timm_script_text
    script_text_function(request.name, network.architecture, network.options)  # refuses by name
    path = export_weights(request.path(f".{layout}.safetensors"), network, layout)
    verify_exported_weights(path, network)
    options = network.options
    message = (
        f"equal when read back; norms: eps {options.norm_eps:g}, momentum {options.norm_momentum:g}"
    )
    return ExportedFile(path, message)


def export_torch_program(request: ExportRequest) -> list[ExportedFile]:
    """A ``torch.export`` program."""
    from scalesearch.deploy.export.torch_export import write_program

    path = request.path(".pt2")
    return [
        ExportedFile(
            path, _parity_text(write_program(path, request.saved_network, request.image_set))
        )
    ]


def export_onnx(request: ExportRequest) -> list[ExportedFile]:
    """ONNX with a dynamic batch."""
    from scalesearch.deploy.export.onnx_files import write_onnx

    path = request.path(".onnx")
    return [
        ExportedFile(
            path,
            _parity_text(
                write_onnx(
                    path,
                    request.saved_network,
                    request.image_set,
                    built_model=request.float_onnx_model,
                )
            ),
        )
    ]


def export_int8(request: ExportRequest) -> list[ExportedFile]:
    """ONNX in eight-bit numbers, by ranges measured on validation images."""
    from scalesearch.deploy.export.onnx_files import INT8_FORMAT, write_int8

    path, image_set = (
        request.path(".int8.onnx"),
        request.require_image_set(INT8_FORMAT, "to calibrate on"),
    )
    parity = write_int8(path, request.saved_network, image_set, onnx_model=request.float_onnx_model)
    return [
        ExportedFile(path, f"{parity.same_fraction:.1%} of {parity.images} images answered alike")
    ]


def export_int8_qat(request: ExportRequest) -> list[ExportedFile]:
    """The same, by training with rounded numbers."""
    from scalesearch.deploy.export.qat import INT8_QAT_FORMAT, QatConfig, write_int8_qat
    from scalesearch.reporting.terminal.display import show_count

    path, image_set = (
        request.path(".int8-qat.onnx"),
        request.require_image_set(INT8_QAT_FORMAT, "to train on"),
    )
    qat_config = QatConfig(epochs=request.epochs, seed=request.seed)
    steps = qat_config.steps(len(image_set.dataset.train))
    with show_count("steps of training with rounding", steps) as on_step:
        qat_result = write_int8_qat(path, request.saved_network, image_set, qat_config, on_step)
    return [
        ExportedFile(
            path,
            f"{qat_result.network_parity.same_fraction:.1%} of {qat_result.network_parity.images} images answered alike; meant for "
            f"ONNX Runtime: in PyTorch's eager mode its program takes {qat_result.slowdown:.1f}x as "
            "long as the float network",
        )
    ]


def export_python(request: ExportRequest) -> list[ExportedFile]:
    """One file for each network that needs torch alone; weights beside it, where there are any."""
    from scalesearch.deploy.export.standalone.files import write_script

    exported_files = []
    for exportable in read_exportables(request.source):
        script, *weights = write_script(exportable, request.out)
        message = "run; the same logits" if weights else "run; the same tensors, no weights"
        exported_files += [ExportedFile(script, message), *(ExportedFile(path) for path in weights)]
    return exported_files


def export_torchvision_config(request: ExportRequest) -> list[ExportedFile]:
    """A file for each network by which torchvision builds it."""
    return _export_library_config(request, "torchvision")


def export_timm_config(request: ExportRequest) -> list[ExportedFile]:
    """A file for each network by which timm builds it."""
    return _export_library_config(request, "timm")


def _export_library_config(request: ExportRequest, library: str) -> list[ExportedFile]:
    from scalesearch.deploy.export.standalone.files import write_library_script

    exported_files = []
    for exportable in read_exportables(request.source):
        path, was_built = write_library_script(exportable, request.out, library)
        build_text = (
            f"{library} built it: as many parameters" if was_built else f"not built: no {library}"
        )
        exported_files.append(
            ExportedFile(path, f"{build_text}; --format {library} writes its weights")
        )
    return exported_files


def _parity_text(parities: "Sequence[Parity]") -> str:
    """How a file agrees with its network, in words."""
    _, *real_images = parities
    message = (
        f"logits within {max(parity.difference for parity in parities):.1g} of PyTorch's on noise"
    )
    return message + (
        f" and {real_images[0].images} real images"
        if real_images
        else "; --data compares on images"
    )
