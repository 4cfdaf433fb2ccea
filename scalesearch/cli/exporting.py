"""The command that writes a network in the forms that others read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from scalesearch.cli.exportables import exportables, plain
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import code
from scalesearch.errors import ExportError

if TYPE_CHECKING:
    from scalesearch.weights import Saved

# The parts of scalesearch are imported within the functions: help has no use for torch.


@dataclass(frozen=True)
class Wanted:
    """What is to be exported. ``source``: NETWORK as it was written; ``out``: the folder for it;
    ``data``: images that formats with a need of them take; ``allow_code``: of ``module:factory``.
    """

    source: str
    out: Path
    data: str | None = None
    allow_code: bool = False

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
    write_network(path, saved.network, saved.preparation, name=saved.name, origin=saved.origin)
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
    """One file, read back and compared bit by bit."""
    from scalesearch.nets import Network
    from scalesearch.weights.layouts.exporting import reopened, write_exported

    network = wanted.saved.network
    if not isinstance(network, Network):
        raise ExportError(f"{wanted.source}: layout {layout}: need a network as data, got code")
    path = write_exported(wanted.path(f".{layout}.safetensors"), network, layout)
    reopened(path, network)
    norms = network.options
    says = f"equal when read back; norms: eps {norms.norm_eps:g}, momentum {norms.norm_momentum:g}"
    return Written(path, says)


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
    from scalesearch.export.standalone import write_torchvision_script

    return [
        Written(path, "for torchvision, which --format torchvision writes weights for")
        for one in exportables(wanted.source)
        for path in write_torchvision_script(one, wanted.out)
    ]


FORMATS: dict[str, Format] = {
    "safetensors": safetensors,
    "torchvision": torchvision,
    "timm": timm,
    "python": python,
    "torchvision-config": torchvision_config,
}
"""What ``--format`` names. Each writes its files whole or not at all, opens them again, and raises
ExportError where it cannot."""

GONE = {
    "torchscript": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
    "torch.jit": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
}
"""Formats that people ask for, and what to take instead."""


def export(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A .safetensors file; FAMILY.json:b2 where weights do not count.",
        ),
    ],
    formats: Annotated[
        str, typer.Option("--format", metavar="A,B", help=f"Of {', '.join(FORMATS)}.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the files.")],
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images, such as imagefolder:PATH.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Write a network in forms that others read; each file is opened again and compared."""
    from scalesearch.tables import print_json, print_table

    chosen = chosen_formats(formats)
    wanted = Wanted(network, out, data, allow_code)
    rows: list[dict[str, Any]] = []
    with code(allow_code), _writing(out):
        for name in chosen:
            rows += [_row(name, written) for written in FORMATS[name](wanted)]
    print_json({"network": network, "files": rows}) if as_json else print_table(rows)


def chosen_formats(text: str) -> list[str]:
    """The formats of a list, each once. Raises ExportError for one that there is not."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name in GONE:
            raise ExportError(f"--format: {name}: {GONE[name]}")
        if name not in FORMATS:
            from scalesearch.validation import hint

            raise ExportError(f"--format: no format {name!r}; {hint(name, FORMATS)}")
    if not names:
        raise ExportError(f"--format: need one of {', '.join(FORMATS)}, got none")
    return names


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """The folder is there within; where it or a file in it cannot be written, ExportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error}; choose another --out") from error


def _row(name: str, written: Written) -> dict[str, Any]:
    return {
        "format": name,
        "file": str(written.path),
        "bytes": written.path.stat().st_size,
        "says": written.says,
    }
