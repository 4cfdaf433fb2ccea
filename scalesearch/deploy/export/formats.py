"""Export formats: one table, with a function that writes and verifies each.

A new format is a function of ``ExportRequest`` and a row of ``FORMATS``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scalesearch.errors import ExportError

if TYPE_CHECKING:
    from scalesearch.deploy.export.parity import Parity
    from scalesearch.deploy.export.sample_images import ImageSet
    from scalesearch.deploy.export.standalone.files import Exportable
    from scalesearch.training.network_file import SavedNetwork

# The libraries of the formats are imported within the functions: ``--help`` needs only the table.

ShowSteps: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Show the progress of work with a title and a number of steps."""


@contextmanager
def show_no_steps(title: str, steps: int) -> Iterator[Callable[[int], None]]:
    """Show no progress."""
    yield lambda done: None


def to_file_name(text: str) -> str:
    """Text with the characters that file names allow."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-_") or "network"


@dataclass(frozen=True)
class ExportRequest:
    """A network to export and the folder for its files."""

    source: str
    """The network as the user named it; a .safetensors file for formats with weights."""
    out: Path
    """Folder for the files."""
    read_exportables: "Callable[[str], list[Exportable]]"
    """Reads the networks of ``source`` that are written as code."""
    load_images: "Callable[[SavedNetwork], ImageSet] | None" = None
    """Loads images prepared for a network; None without images."""
    show_steps: ShowSteps = show_no_steps
    """Shows the progress of training."""
    epochs: int = 2
    """Epochs of quantisation-aware training."""
    seed: int = 0
    """Random seed of quantisation-aware training."""

    @cached_property
    def saved_network(self) -> "SavedNetwork":
        """The network with its weights. Raises ExportError if ``source`` has none."""
        from scalesearch.training.network_file import read_network

        if Path(self.source).suffix != ".safetensors":
            raise ExportError(
                f"{self.source}: this format needs weights, got a network without any; name a "
                ".safetensors file, as `scalesearch train` writes it"
            )
        return read_network(Path(self.source))

    @cached_property
    def image_set(self) -> "ImageSet | None":
        """Images prepared for the network; None without images."""
        return None if self.load_images is None else self.load_images(self.saved_network)

    @cached_property
    def float_onnx_model(self) -> Any:
        """The network as an ONNX model, for each format that begins with it."""
        from scalesearch.deploy.export.onnx_files import float_model

        return float_model(self.saved_network)

    def require_image_set(self, format_name: str, purpose: str) -> "ImageSet":
        """Return the images of a format that needs some. Raises ExportError without any."""
        if self.image_set is None:
            raise ExportError(f"--format {format_name}: need images {purpose}; give --data SOURCE")
        return self.image_set

    @property
    def name(self) -> str:
        """Name of the files."""
        return to_file_name(self.saved_network.name or Path(self.source).stem)

    def path(self, suffix: str) -> Path:
        """Return the path of the file with this suffix."""
        return self.out / f"{self.name}{suffix}"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that an export wrote, with a short message about it."""

    path: Path
    message: str = ""


ExportFormat: TypeAlias = Callable[[ExportRequest], Sequence[ExportedFile]]


def export_safetensors(request: ExportRequest) -> list[ExportedFile]:
    """Write our own format: one file with the whole network."""
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
    """Write tensors with the names of torchvision's EfficientNet."""
    return [_export_layout(request, "torchvision")]


def export_timm(request: ExportRequest) -> list[ExportedFile]:
    """Write tensors with the names of timm's EfficientNet, which has both paddings."""
    options = getattr(request.saved_network.network, "options", None)
    return [_export_layout(request, "timm-tf" if options and options.padding == "same" else "timm")]


def _export_layout(request: ExportRequest, layout: str) -> ExportedFile:
    """Write a file for a library that can build the network; compare it bit by bit."""
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
    """Write a ``torch.export`` program."""
    from scalesearch.deploy.export.torch_export import write_program

    path = request.path(".pt2")
    return [
        ExportedFile(
            path, _parity_text(write_program(path, request.saved_network, request.image_set))
        )
    ]


def export_onnx(request: ExportRequest) -> list[ExportedFile]:
    """Write ONNX with a dynamic batch."""
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
    """Write int8 ONNX with ranges measured on validation images."""
    from scalesearch.deploy.export.onnx_files import INT8_FORMAT, write_int8

    path, image_set = (
        request.path(".int8.onnx"),
        request.require_image_set(INT8_FORMAT, "to calibrate on"),
    )
    parity = write_int8(path, request.saved_network, image_set, onnx_model=request.float_onnx_model)
    return [
        ExportedFile(path, f"{parity.same_fraction:.1%} of {parity.images} images predicted alike")
    ]


def export_int8_qat(request: ExportRequest) -> list[ExportedFile]:
    """Write int8 ONNX after quantisation-aware training."""
    from scalesearch.deploy.export.qat import INT8_QAT_FORMAT, QatConfig, write_int8_qat

    path, image_set = (
        request.path(".int8-qat.onnx"),
        request.require_image_set(INT8_QAT_FORMAT, "to train on"),
    )
    qat_config = QatConfig(epochs=request.epochs, seed=request.seed)
    steps = qat_config.steps(len(image_set.dataset.train))
    with request.show_steps("steps of training with rounding", steps) as on_step:
        qat_result = write_int8_qat(path, request.saved_network, image_set, qat_config, on_step)
    parity = qat_result.network_parity
    return [
        ExportedFile(
            path,
            f"{parity.same_fraction:.1%} of {parity.images} images predicted alike; meant for "
            "ONNX Runtime: in PyTorch's eager mode its program takes "
            f"{qat_result.slowdown:.1f}x as long as the float network",
        )
    ]


def export_python(request: ExportRequest) -> list[ExportedFile]:
    """Write a file that needs only torch for each network, with its weights, if any."""
    from scalesearch.deploy.export.standalone.files import write_script

    exported_files = []
    for exportable in request.read_exportables(request.source):
        script, *weights = write_script(exportable, request.out)
        message = "run; the same logits" if weights else "run; the same tensors, no weights"
        exported_files += [ExportedFile(script, message), *(ExportedFile(path) for path in weights)]
    return exported_files


def export_torchvision_config(request: ExportRequest) -> list[ExportedFile]:
    """Write a file for each network with which torchvision builds it."""
    return _export_library_config(request, "torchvision")


def export_timm_config(request: ExportRequest) -> list[ExportedFile]:
    """Write a file for each network with which timm builds it."""
    return _export_library_config(request, "timm")


def _export_library_config(request: ExportRequest, library: str) -> list[ExportedFile]:
    from scalesearch.deploy.export.standalone.files import write_library_script

    exported_files = []
    for exportable in request.read_exportables(request.source):
        path, was_built = write_library_script(exportable, request.out, library)
        build_text = (
            f"{library} built it: as many parameters" if was_built else f"not built: no {library}"
        )
        exported_files.append(
            ExportedFile(path, f"{build_text}; --format {library} writes its weights")
        )
    return exported_files


def _parity_text(parities: "Sequence[Parity]") -> str:
    """Return a message about a file's parity with its network."""
    _, *real_images = parities
    message = (
        f"logits within {max(parity.difference for parity in parities):.1g} of PyTorch's on noise"
    )
    return message + (
        f" and {real_images[0].images} real images"
        if real_images
        else "; --data compares on images"
    )


FORMATS: dict[str, ExportFormat] = {
    "safetensors": export_safetensors,
    "torchvision": export_torchvision,
    "timm": export_timm,
    "python": export_python,
    "torchvision-config": export_torchvision_config,
    "timm-config": export_timm_config,
    "exported": export_torch_program,
    "onnx": export_onnx,
    "int8": export_int8,
    "int8-qat": export_int8_qat,
}
"""Formats by name. Each writes its files whole or not at all and reads them back.

A format raises ExportError if it cannot write the network.
"""

DEPRECATED_FORMATS = {
    "torchscript": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
    "torch.jit": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
}
"""Formats that people ask for, and their replacements."""


def parse_formats(text: str) -> list[str]:
    """Return the formats of a list, each once. Raises ExportError for an unknown one."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name in DEPRECATED_FORMATS:
            raise ExportError(f"--format: {name}: {DEPRECATED_FORMATS[name]}")
        if name not in FORMATS:
            from scalesearch.config.validation import suggestion

            raise ExportError(f"--format: no format {name!r}; {suggestion(name, FORMATS)}")
    if not names:
        raise ExportError(f"--format: need one of {', '.join(FORMATS)}, got none")
    return names
