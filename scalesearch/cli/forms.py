"""What ``scalesearch export`` is asked for, and the forms of networks with weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from scalesearch.cli.exportables import exportables, plain
from scalesearch.errors import ExportError

if TYPE_CHECKING:
    from scalesearch.export.agreement import Agreement
    from scalesearch.export.pictures import Pictures
    from scalesearch.weights import Saved

# The parts of scalesearch are imported within the functions: help has no use for torch.


@dataclass(frozen=True)
class Wanted:
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
    def saved(self) -> "Saved":
        """The network with its weights. Raises ExportError where NETWORK is no file of weights."""
        from scalesearch.weights import read_network

        if Path(self.source).suffix != ".safetensors":
            raise ExportError(
                f"{self.source}: this format needs weights, got a network without any; name a "
                ".safetensors file, as `scalesearch train` writes it"
            )
        return read_network(Path(self.source))

    @cached_property
    def pictures(self) -> "Pictures | None":
        """The images of ``data`` as the network is shown them; None where there are none."""
        if self.data is None:
            return None
        from scalesearch.experiment import DataSpec
        from scalesearch.export.pictures import pictures
        from scalesearch.progress import images_shown

        spec = DataSpec(
            source=self.data,
            train_samples=self.train_samples,
            validation_samples=self.validation_samples,
        )
        with images_shown() as on_data:
            return pictures(self.saved, spec, self.seed, on_data)

    @cached_property
    def float_model(self) -> Any:
        """The network as an ONNX model, for each format that begins with it."""
        from scalesearch.export.onnx_files import float_model

        return float_model(self.saved)

    def required_pictures(self, form: str, why: str) -> "Pictures":
        """The same, for a format that cannot do without. Raises ExportError where there are
        none."""
        if self.pictures is None:
            raise ExportError(f"--format {form}: need images {why}; give --data SOURCE")
        return self.pictures

    @property
    def name(self) -> str:
        """What its files are called."""
        return plain(self.saved.name or Path(self.source).stem)

    def path(self, ending: str) -> Path:
        """Where the file with such an ending goes."""
        return self.out / f"{self.name}{ending}"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that an export left, and what there is to say of it, in a few words."""

    path: Path
    says: str = ""


Format: TypeAlias = Callable[[Wanted], Sequence[Written]]


def safetensors(wanted: Wanted) -> list[Written]:
    """Our own format: one file that is the whole network."""
    from scalesearch.weights import read_network, write_network

    saved, path = wanted.saved, wanted.path(".safetensors")
    write_network(
        path,
        saved.network,
        saved.preparation,
        architecture=saved.architecture,
        name=saved.name,
        origin=saved.origin,
    )
    read_network(path)
    return [Written(path, "opened again")]


def torchvision(wanted: Wanted) -> list[Written]:
    """Tensors as torchvision's EfficientNet names them."""
    return [_in_layout(wanted, "torchvision")]


def timm(wanted: Wanted) -> list[Written]:
    """Tensors as timm's EfficientNet names them; it has both ways to pad."""
    options = getattr(wanted.saved.network, "options", None)
    return [_in_layout(wanted, "timm-tf" if options and options.padding == "same" else "timm")]


def _in_layout(wanted: Wanted, layout: str) -> Written:
    """One file, read back and compared bit by bit, of a network that the library can build."""
    from scalesearch.export.standalone import timm_script, torchvision_script
    from scalesearch.nets import Network
    from scalesearch.weights.layouts.exporting import reopened, write_exported

    network = wanted.saved.network
    if not isinstance(network, Network):
        raise ExportError(f"{wanted.source}: layout {layout}: need a network as data, got code")
    script = torchvision_script if layout == "torchvision" else timm_script
    script(wanted.name, network.architecture, network.options)  # refuses by name
    path = write_exported(wanted.path(f".{layout}.safetensors"), network, layout)
    reopened(path, network)
    norms = network.options
    says = f"equal when read back; norms: eps {norms.norm_eps:g}, momentum {norms.norm_momentum:g}"
    return Written(path, says)


def exported(wanted: Wanted) -> list[Written]:
    """A ``torch.export`` program."""
    from scalesearch.export.programs import write_program

    path = wanted.path(".pt2")
    return [Written(path, _equal(write_program(path, wanted.saved, wanted.pictures)))]


def onnx(wanted: Wanted) -> list[Written]:
    """ONNX with a dynamic batch."""
    from scalesearch.export.onnx_files import write_onnx

    path = wanted.path(".onnx")
    return [
        Written(
            path, _equal(write_onnx(path, wanted.saved, wanted.pictures, made=wanted.float_model))
        )
    ]


def int8(wanted: Wanted) -> list[Written]:
    """ONNX in eight-bit numbers, by ranges measured on validation images."""
    from scalesearch.export.int8 import FORM, write_int8

    path, images = wanted.path(".int8.onnx"), wanted.required_pictures(FORM, "to calibrate on")
    found = write_int8(path, wanted.saved, images, made=wanted.float_model)
    return [Written(path, f"{found.same:.1%} of {found.images} images answered alike")]


def int8_qat(wanted: Wanted) -> list[Written]:
    """The same, by training with rounded numbers."""
    from scalesearch.export.qat import Tuning, write_int8_qat
    from scalesearch.export.quantizer import FORM
    from scalesearch.progress import counted

    path, images = wanted.path(".int8-qat.onnx"), wanted.required_pictures(FORM, "to train on")
    tuning = Tuning(epochs=wanted.epochs, seed=wanted.seed)
    steps = tuning.steps(len(images.dataset.train))
    with counted("steps of training with rounding", steps) as on_step:
        found = write_int8_qat(path, wanted.saved, images, tuning, on_step)
    return [
        Written(
            path,
            f"{found.network.same:.1%} of {found.network.images} images answered alike; meant for "
            f"ONNX Runtime: in PyTorch's eager mode its program takes {found.slowdown:.1f}x as "
            "long as the float network",
        )
    ]


def python(wanted: Wanted) -> list[Written]:
    """One file for each network that needs torch alone; weights beside it, where there are any."""
    from scalesearch.export.standalone import write_script

    written = []
    for one in exportables(wanted.source):
        script, *weights = write_script(one, wanted.out)
        says = "run; the same logits" if weights else "run; the same tensors, no weights"
        written += [Written(script, says), *(Written(path) for path in weights)]
    return written


def torchvision_config(wanted: Wanted) -> list[Written]:
    """A file for each network by which torchvision builds it."""
    return _for_library(wanted, "torchvision")


def timm_config(wanted: Wanted) -> list[Written]:
    """A file for each network by which timm builds it."""
    return _for_library(wanted, "timm")


def _for_library(wanted: Wanted, library: str) -> list[Written]:
    from scalesearch.export.standalone import write_peer_script

    written = []
    for one in exportables(wanted.source):
        path, built = write_peer_script(one, wanted.out, library)
        did = f"{library} built it: as many parameters" if built else f"not built: no {library}"
        written.append(Written(path, f"{did}; --format {library} writes its weights"))
    return written


def _equal(found: "Sequence[Agreement]") -> str:
    """How a file agrees with its network, in words."""
    _, *real = found
    told = f"logits within {max(one.difference for one in found):.1g} of PyTorch's on noise"
    return told + (f" and {real[0].images} real images" if real else "; --data compares on images")
